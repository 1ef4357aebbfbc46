"""A server that is away for a while: what voters and screens notice.

Short in the suite; long form: Redis away for 30 s, PostgreSQL for 10 s.
"""

import asyncio
import time
from bisect import bisect_left

import pytest
import uvloop

from deploy.local_servers import private_folder
from tests.chaos.crowd import THEMES, until
from tests.chaos.ledger import Screen
from tests.chaos.rig import Rig, raised_rig
from tests.chaos.run import Config, Report, Session
from tests.sizes import LONG

pytestmark = [
    pytest.mark.alone, pytest.mark.chaos, pytest.mark.servers, pytest.mark.timeout(240),
]  # fmt: skip

LIVE_LAG_SECS = 0.5
LOCK_HELD_MOST_SECS = 15.0
SINGLE = [theme for theme in THEMES if theme.name == "single"]


def acknowledged_between(report: Report, start: float, end: float) -> int:
    return sum(
        start <= ack.answered < end for poll in report.ledger.polls.values() for ack in poll.acks
    )


def lags(report: Report, screen: Screen, start: float, end: float) -> list[tuple[float, float]]:
    """When a vote was acknowledged, and how much later this screen showed it."""
    poll = report.ledger.polls[screen.poll]
    versions = list(zip(screen.epochs, screen.versions, strict=True))
    found = []
    for ack in poll.acks:
        if start <= ack.answered < end:
            place = bisect_left(versions, (ack.epoch, ack.seq))
            shown = screen.at[place] if place < len(versions) else float("inf")
            found.append((ack.answered, max(0.0, shown - ack.answered)))
    return found


async def use_without_redis(rig: Rig, secs: float) -> tuple[Report, float, float, float]:
    """Votes to the first process only, so that the second's screens depend on the way between."""
    rate = 1e6 if LONG else 250  # all that the machine gives, or what leaves it to others
    config = Config(
        seed=1, faults=(), votes=0, sockets=40, rate=rate, workers=24, themes=SINGLE
    )  # fmt: skip
    session = Session(rig, config)
    session.crowd.voting_ports = rig.ports[:1]
    await session.start()
    await asyncio.sleep(2)
    before = time.monotonic()
    await asyncio.sleep(secs / 2)
    async with session.scene.disturbing("redis"):
        died = time.monotonic()
        await asyncio.to_thread(rig.redis.kill)
        await asyncio.sleep(secs)
        await asyncio.to_thread(rig.redis.start)
    returned = time.monotonic()
    await asyncio.sleep(5)
    return await session.finish(), before, died, returned


def test_without_redis_votes_go_on_and_screens_follow() -> None:
    secs = 30.0 if LONG else 6.0
    with private_folder() as folder, raised_rig(folder) as rig:
        report, before, died, returned = uvloop.run(use_without_redis(rig, secs))
    rate_before = acknowledged_between(report, before, died) / (died - before)
    rate_without = acknowledged_between(report, died, returned) / (returned - died)
    far = [one for one in report.ledger.screens if one.process == 1]
    late = [lag for screen in far for lag in lags(report, screen, died, returned)]
    after = [lag for screen in far for lag in lags(report, screen, returned, returned + 4)]
    live_after = max((at for at, lag in after if lag > LIVE_LAG_SECS), default=returned) - returned
    print(
        f"Redis away for {returned - died:.0f} s: {rate_before:.0f} votes/s before, "
        f"{rate_without:.0f} without ({rate_without / rate_before:.2f}); the other process's "
        f"screens at most {max(lag for _, lag in late):.1f} s late, live again "
        f"{live_after:.1f} s after its return"
    )
    assert not report.violations, report.text()
    assert rate_without >= 0.8 * rate_before
    assert max(lag for _, lag in late) <= 10
    assert live_after <= 2


async def use_without_postgres(rig: Rig, secs: float) -> tuple[Report, float, float]:
    config = Config(seed=1, faults=(), votes=0, sockets=40, rate=300, workers=24)
    session = Session(rig, config)
    await session.start()
    await asyncio.sleep(2)
    session.ledger.statuses.clear()
    async with session.scene.disturbing("postgres"):
        await asyncio.to_thread(rig.postgres.kill)
        died = time.monotonic()
        await asyncio.sleep(secs)
        await asyncio.to_thread(rig.postgres.start)
    returned = time.monotonic()
    await asyncio.sleep(3)
    return await session.finish(), died, returned


def test_without_postgresql_votes_get_retry_after_and_none_is_lost() -> None:
    secs = 10.0 if LONG else 4.0
    with private_folder() as folder, raised_rig(folder) as rig:
        report, died, returned = uvloop.run(use_without_postgres(rig, secs))
    # An answer to a commit made just before may be under way for a moment.
    meanwhile = acknowledged_between(report, died + 0.5, returned - 0.5)
    answers = [ack.answered for poll in report.ledger.polls.values() for ack in poll.acks]
    healed = min(at for at in answers if at >= returned - 0.5) - returned
    refused = report.ledger.statuses[503]
    print(
        f"PostgreSQL away for {returned - died:.0f} s: {refused} answers 503 with Retry-After, "
        f"{dict(report.ledger.failures)} without an answer; first vote {healed:+.2f} s after "
        f"its return; {report.ledger.acknowledged} acknowledged, none lost, none doubled"
    )
    assert not report.violations, report.text()
    assert meanwhile == 0
    assert refused > 20
    assert not report.ledger.failures
    assert healed < 2


async def vote_beside_a_hung_commit(rig: Rig) -> tuple[Report, float]:
    """One process hangs between lock and COMMIT, for ever; voters go to the other one."""
    config = Config(seed=1, faults=(), votes=0, sockets=20, rate=100, workers=24, themes=SINGLE)
    session = Session(rig, config)
    await session.start()
    await asyncio.sleep(1)
    async with session.scene.disturbing("postgres"):
        await asyncio.to_thread(rig.wires.send, "postgres-0", "trap", "hang")
        assert await asyncio.to_thread(rig.wires.await_commit, 5.0)
        hung = time.monotonic()
        session.crowd.voting_ports = rig.ports[1:]
        before = session.ledger.acknowledged
        assert await until(lambda: session.ledger.acknowledged > before + 100, 60)
        waited = time.monotonic() - hung
        await asyncio.to_thread(rig.wires.send, "postgres-0", "heal")
        session.crowd.voting_ports = rig.ports
    await asyncio.sleep(1)
    return await session.finish(), waited


def test_a_process_that_hangs_with_a_polls_lock_does_not_keep_it() -> None:
    with private_folder() as folder, raised_rig(folder) as rig:
        report, waited = uvloop.run(vote_beside_a_hung_commit(rig))
    print(f"a process hung with the lock: votes by the other one went on after {waited:.1f} s")
    assert not report.violations, report.text()
    assert waited < LOCK_HELD_MOST_SECS
