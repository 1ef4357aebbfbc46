"""Counts in windows: exact, sliding, bounded in memory, and never held up by Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from limits import parse

from livepoll import counters
from livepoll.counters import Counters, Limit, OwnWindows, Window

MINUTE = parse("10/minute")
GUESSES = Limit("guesses", MINUTE)


class Clock:
    def __init__(self) -> None:
        self.now = 6_000_000.0  # the beginning of a minute

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def hits(windows: Any, number: int, name: str = "a") -> int:
    return sum([await windows.hit(MINUTE, "guesses", name) for _ in range(number)])


async def test_so_many_are_allowed_and_no_more(clock: Clock) -> None:
    windows = OwnWindows(clock=clock)
    assert await hits(windows, 15) == 10
    assert await hits(windows, 3, "another") == 3
    assert await windows.window(MINUTE, "guesses", "a") == Window(remaining=0, reset_seconds=60)
    assert await windows.window(MINUTE, "guesses", "another") == Window(
        remaining=7, reset_seconds=60
    )


async def test_the_window_slides(clock: Clock) -> None:
    windows = OwnWindows(clock=clock)
    assert await hits(windows, 10) == 10
    clock.now += 59
    assert await hits(windows, 5) == 0
    clock.now += 31  # half of the next minute: half of the last one's still weigh
    assert await hits(windows, 15) == 5
    clock.now += 120
    assert await hits(windows, 15) == 10


async def test_memory_is_bounded_and_the_busiest_stay(clock: Clock) -> None:
    windows = OwnWindows(most=100, clock=clock)
    assert await hits(windows, 10, "guesser") == 10
    for number in range(10_000):
        await windows.hit(MINUTE, "guesses", f"one of many {number}")
        if not number % 50:
            assert not await windows.hit(MINUTE, "guesses", "guesser")
    assert len(windows) == 100


async def test_what_strangers_fill_flushes_no_other_limit(clock: Clock) -> None:
    windows = OwnWindows(most=100, clock=clock)
    for _ in range(10):
        assert await windows.hit(MINUTE, "passwords", "a target")
    for number in range(1000):
        await windows.hit(MINUTE, "forgeries", f"a stranger's {number}")
    assert not await windows.hit(MINUTE, "passwords", "a target")


async def test_to_ask_takes_no_room(clock: Clock) -> None:
    windows = OwnWindows(most=100, clock=clock)
    assert await hits(windows, 10, "guesser") == 10
    for number in range(1000):
        await windows.window(MINUTE, "guesses", f"one of many {number}")
    assert len(windows) == 1


@pytest.fixture
async def hung_redis() -> AsyncIterator[str]:
    """Takes connections and never answers."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(
        lambda _, writer: connections.append(writer), "127.0.0.1", 0
    )
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    server.close()
    for connection in connections:
        connection.close()
        await connection.wait_closed()


async def test_a_redis_that_hangs_delays_a_hit_once_by_a_quarter_of_a_second(
    hung_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counters(hung_redis)
    started = time.monotonic()
    # All that is under way finds it out together, what comes later does not ask.
    assert all(await asyncio.gather(*(counted.hit(GUESSES, "a") for _ in range(10))))
    assert not await counted.hit(GUESSES, "a")
    assert time.monotonic() - started < 1.0
    # After the rest one tries again, for all.
    monkeypatch.setattr(counted, "_resting_until", 0.0)
    asked: list[str] = []
    shared = counted._shared
    assert shared is not None

    async def hit(*_: Any) -> bool:
        asked.append("hit")
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(shared, "hit", hit)
    await asyncio.gather(*(counted.hit(GUESSES, "b") for _ in range(50)))
    assert len(asked) == 1
    await counted.close()


async def test_a_redis_that_is_gone_costs_nothing() -> None:
    counted = Counters("redis://127.0.0.1:1/0")
    started = time.monotonic()
    assert [await counted.hit(GUESSES, "a") for _ in range(11)] == [True] * 10 + [False]
    assert time.monotonic() - started < 0.5
    await counted.close()


@pytest.mark.servers
async def test_all_processes_count_together_and_atomically(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Forty connections are made at once here, on a machine that may be busy.
    monkeypatch.setattr(counters, "_REDIS_TIMEOUT_SECONDS", 20.0)
    async with AsyncExitStack() as stack:
        here, there = Counters(settings.REDIS_URL), Counters(settings.REDIS_URL)
        for one in (here, there):
            stack.push_async_callback(one.close)
        await check_counting_together(here, there)


async def check_counting_together(here: Counters, there: Counters) -> None:
    key = f"test {time.time_ns()}"
    asked = [one.hit(GUESSES, key) for one in (here, there) for _ in range(20)]
    assert sum(await asyncio.gather(*asked)) == 10
    window = await there.window(GUESSES, key)
    assert window.remaining == 0
    assert 1 <= window.reset_seconds <= 60
    assert await there.window(GUESSES, f"{key} unknown") == Window(10, 60)
    assert not here._is_down
    assert not there._is_down


def test_a_window_takes_little_memory() -> None:
    assert counters._MOST_WINDOWS * 250 <= 12_500_000
