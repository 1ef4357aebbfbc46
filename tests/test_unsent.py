"""Long responses whose clients do not read hold so many bytes together, and no more."""

import asyncio
from collections.abc import Callable

import pytest

from livepoll.unsent import PATIENCE_SECONDS, UnsentResponses
from polls.errors import Overloaded
from polls.http.request import Disconnected


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def unsent(clock: Callable[[], float]) -> UnsentResponses:
    return UnsentResponses(100, clock=clock)


async def reader(unsent: UnsentResponses, address: str, size: int) -> "asyncio.Task[None]":
    """One that never reads, at its response."""

    async def hang() -> None:
        async with unsent.hold(address, size):
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await asyncio.sleep(0)
    return task


async def ended(*tasks: "asyncio.Task[None]") -> list[type]:
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(one) for one in found]


async def leave(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    assert await ended(*tasks) == [asyncio.CancelledError] * len(tasks)


async def test_what_others_need_is_taken_from_who_holds_the_most(unsent: UnsentResponses) -> None:
    hostile = [await reader(unsent, "a", 30) for _ in range(3)]
    honest = await reader(unsent, "b", 30)
    assert await ended(hostile[0]) == [Disconnected]
    assert unsent.held_bytes == 90
    assert not honest.done()
    await leave(*hostile[1:], honest)
    assert (unsent.held_bytes, len(unsent)) == (0, 0)


async def test_an_address_alone_is_refused_more_while_its_own_are_new(
    unsent: UnsentResponses, clock: Clock
) -> None:
    """Readers that are slow give way; a hall's pages are not cut off by its next ones."""
    readers = [await reader(unsent, "a", 30) for _ in range(3)]
    assert await ended(await reader(unsent, "a", 30)) == [Overloaded]
    clock.now += PATIENCE_SECONDS
    late = await reader(unsent, "a", 30)
    assert await ended(readers[0]) == [Disconnected]
    assert unsent.held_bytes == 90
    await leave(*readers[1:], late)


async def test_one_that_is_larger_than_all_is_sent_alone(unsent: UnsentResponses) -> None:
    async with unsent.hold("a", 1000):
        assert await ended(await reader(unsent, "a", 1)) == [Overloaded]
    assert unsent.held_bytes == 0


async def test_a_time_limit_of_the_senders_own_stays_its_own(unsent: UnsentResponses) -> None:
    with pytest.raises(TimeoutError):
        async with unsent.hold("a", 1), asyncio.timeout(0):
            await asyncio.Event().wait()
