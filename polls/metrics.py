"""What can be measured about votes, for Prometheus. Cost: a few microseconds a batch."""

from collections import Counter as Tallied
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

VOTES = Counter("livepoll_votes", "Votes by what became of them.", ["outcome"])
for _failure in ("overloaded", "server_error"):
    VOTES.labels(_failure)  # from zero on, so that an alert sees the first one as a rise
BATCH_VOTES = Histogram(
    "livepoll_batch_votes",
    "Votes in one commit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
COMMIT_SECONDS = Histogram(
    "livepoll_commit_seconds", "One batch, from its first statement to COMMIT.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)  # fmt: skip
WAITING = Gauge("livepoll_ballot_box_waiting", "Votes that wait for the next commit.")


def count_outcomes(outcomes: Iterable[str]) -> None:
    for outcome, number in Tallied(outcomes).items():
        VOTES.labels(outcome).inc(number)
