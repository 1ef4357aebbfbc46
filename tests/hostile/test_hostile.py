"""Honest voters beside hostile clients: what `make hostile` does in half an hour, in seconds."""

import secrets
import shutil

import pytest

from bench.machine import raise_file_limit
from deploy.local_servers import private_folder
from tests.hostile.__main__ import MOST_TIMES, NOISE_SECS
from tests.hostile.clients import SHARES
from tests.hostile.run import Outcome, Plan, p99, run
from tests.sizes import LONG, sized

pytestmark = [
    pytest.mark.alone, pytest.mark.chaos, pytest.mark.servers, pytest.mark.timeout(3600),
]  # fmt: skip

SERVED_SECS = 2.0
MEMORY_MIB = 150


def plan(*, nginx: bool) -> Plan:
    return Plan(
        seed=secrets.randbelow(10**6),
        quiet_secs=sized(2.0, 60.0),
        hostile_secs=sized(8.0, 1800.0),
        connections=sized(200, 2000),
        rate=sized(150.0, 500.0),
        screens=sized(40, 500),
        nginx=nginx,
    )


def play(*, nginx: bool) -> Outcome:
    raise_file_limit()
    with private_folder() as folder:
        outcome = run(plan(nginx=nginx), folder)
    print(outcome.text())
    return outcome


def check(outcome: Outcome) -> None:
    assert not outcome.failures(), outcome.text()
    assert outcome.seen["visits"] > outcome.plan.connections / 4
    assert max(outcome.memory_mib) - outcome.memory_mib[0] < MEMORY_MIB, outcome.text()
    # A machine that is shared says little in seconds: there only that voters are served.
    limit = MOST_TIMES * p99(outcome.quiet) + NOISE_SECS
    assert p99(outcome.hostile) <= (limit if LONG else SERVED_SECS), outcome.text()


def test_the_shares_are_of_a_hundred() -> None:
    assert sum(share for share, _ in SHARES.values()) == 100


def test_honest_voters_and_screens_are_served_beside_hostile_clients() -> None:
    check(play(nginx=False))


# Collected only where nginx is; the long form elsewhere runs without a proxy.
if shutil.which("nginx") and LONG:

    def test_the_same_through_nginx() -> None:
        check(play(nginx=True))
