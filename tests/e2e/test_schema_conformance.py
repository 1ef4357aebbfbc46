"""The running server keeps to its own OpenAPI schema, for valid requests and broken ones.

Schemathesis makes requests from the schema, valid ones and broken ones, for every operation,
and walks along its links: no 500, no undocumented status or media type, every body as
declared. Short in the suite; long form: 50,000 requests.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.conftest import StartSite
from tests.e2e.harness import QUICK_PASSWORDS, Site
from tests.e2e.schema_requests import HASHING, Sent, Workers, modes, operations_of, try_out, walk
from tests.sizes import LONG

TRIED_OUT = 40_000 if LONG else 0  # requests at least; of each form one round at least
WALKED = 10_000 if LONG else 0
EXAMPLES = 300 if LONG else 4  # an operation and mode in a round
SCENARIOS = 60 if LONG else 6  # walks of a task; each has up to 30 steps
# Walks that never come to these follow no links, or without the right credentials.
REACHED = ["polls_open 200", "results_read 200", "votes_cast 201"] + LONG * [
    "accounts_refresh 200", "export_report 200", "polls_clone 201", "polls_delete 204",
    "results_read 304", "voter_codes_create 201", "voter_codes_revoke 200", "votes_retract 204",
]  # fmt: skip
WARM = 2_000  # after so many requests what is allocated once is allocated

pytestmark = pytest.mark.timeout(3600 if LONG else 180)

Task = tuple[Any, ...]  # a function that makes requests, and its arguments but the site's URL


@dataclass
class Run:
    """All that was sent to a site, and what it did to the server."""

    site: Site
    sent: Sent = field(default_factory=Sent)
    memory: list[tuple[int, float]] = field(default_factory=list)  # (requests so far, MiB)

    def add(self, sent: Sent) -> None:
        self.sent.add(sent)
        resident = psutil.Process(self.site[0].pid).memory_info().rss / 2**20
        self.memory.append((self.sent.requests, resident))

    @property
    def warm_mib(self) -> float:
        return next((mib for requests, mib in self.memory if requests >= WARM), self.memory[0][1])

    def assert_unharmed(self) -> None:
        assert not self.sent.failures, "\n\n".join(self.sent.failures)
        assert httpx.get(f"{self.site.url}/healthz", trust_env=False).status_code == 200
        assert "Traceback" not in self.site[0].log.read_text(errors="replace")
        assert self.memory[-1][1] < 2 * self.warm_mib, self.memory


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers() as pool:
        yield pool


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))


def play(
    site: Site, workers: Workers, round_from: Callable[[int], list[Task]], wanted: int, seed: int
) -> Run:
    """Rounds of tasks, made from a seed each, until `wanted` requests were sent."""
    run = Run(site)
    began = time.monotonic()
    for number in count():
        for task, *arguments in round_from(seed + 1000 * number):
            workers.start(task, site.url, *arguments)
        for sent in workers.done():
            run.add(sent)
        if run.sent.failures or run.sent.requests >= wanted:
            break
    by_status = ", ".join(f"{n} times {one}" for one, n in sorted(run.sent.statuses.items()))
    print(
        f"{run.sent.requests} requests in {time.monotonic() - began:.0f} s, seed {seed}: "
        f"{by_status}; memory {run.warm_mib:.0f}, at last {run.memory[-1][1]:.0f} MiB"
    )
    return run


def test_the_server_keeps_to_its_schema(start_site: StartSite, workers: Workers, seed: int) -> None:
    site = start_site(app=QUICK_PASSWORDS)
    operations = operations_of(site.url)
    assert len(operations) >= 25

    def every_operation(seed: int) -> list[Task]:
        return [
            (try_out, name, mode.value, max(12, EXAMPLES // 10) if name in HASHING else EXAMPLES,
             seed + place)
            for place, (name, operation) in enumerate(operations.items())
            for mode in modes(operation)
        ]  # fmt: skip

    run = play(site, workers, every_operation, TRIED_OUT, seed)
    run.assert_unharmed()
    assert run.sent.requests >= max(TRIED_OUT, 200)
    assert {name.split()[0] for name in run.sent.by_operation} == set(operations)


def test_the_server_keeps_to_its_schema_along_its_links(
    start_site: StartSite, workers: Workers, seed: int
) -> None:
    site = start_site(app=QUICK_PASSWORDS)

    def walks(seed: int) -> list[Task]:
        through_polls: list[Task] = [
            (walk, "polls", SCENARIOS, seed + place) for place in range(8 if LONG else 2)
        ]
        return [(walk, "accounts", SCENARIOS // 6, seed), *through_polls]

    run = play(site, workers, walks, WALKED, seed)
    run.assert_unharmed()
    assert run.sent.requests >= max(WALKED, 200)
    assert run.sent.by_operation.keys() >= set(REACHED)
