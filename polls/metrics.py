"""What can be measured about votes, for Prometheus. Cost: a few microseconds a batch."""

import logging
from collections import Counter as Tallied
from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

logger = logging.getLogger(__name__)

_SLOW_COMMIT_SECONDS = 0.5

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


def measure_batch(outcomes: Sequence[Any], seconds: float) -> None:
    """A committed batch: its size, how long it took, what became of its votes."""
    BATCH_VOTES.observe(len(outcomes))
    COMMIT_SECONDS.observe(seconds)
    count_outcomes(one.error.code if one.error else one.verdict for one in outcomes)
    if seconds > _SLOW_COMMIT_SECONDS:
        logger.warning("a batch of %d votes took %.1f s", len(outcomes), seconds)
