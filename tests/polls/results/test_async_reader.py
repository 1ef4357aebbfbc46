"""Results read by the event loop: fresh, and by the thread whenever that cannot be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from polls import errors, services
from polls.identity.voters import Identity
from polls.models import Poll
from polls.refs import PollRef
from polls.results.async_reader import AsyncReader
from polls.results.reader import PollQuery, read_polls, reader
from polls.results.reading import Reading
from polls.voting.committer import record_votes
from polls.voting.vote import Cast
from tests.polls.elsewhere import elsewhere, kill_backend

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.servers]


@pytest.fixture
def poll() -> Poll:
    return services.create_poll(question="?", options=["Red", "Green"])[0]


class ByThread:
    """What the reader leaves to its thread."""

    def __init__(self) -> None:
        self.asked: list[PollRef] = []

    def __call__(self, ref: PollRef) -> "asyncio.Future[Reading]":
        self.asked.append(ref)
        return reader.read(PollQuery(ref, results=True))


@pytest.fixture
def by_thread() -> ByThread:
    return ByThread()


@pytest.fixture
async def fast(by_thread: ByThread, poll: Poll) -> AsyncIterator[AsyncReader]:
    """One that is connected."""
    found = AsyncReader(asyncio.get_running_loop(), capacity=100, leave=by_thread)
    try:
        async with asyncio.timeout(20):
            while not found.is_open():
                await found.read(poll.id)
        await found.read(poll.id)
        by_thread.asked.clear()
        yield found
    finally:
        found.close()


async def vote(poll: Poll, name: str) -> None:
    cast = Cast(poll.id, Identity(name, "", name), {"choices": [1]})
    await elsewhere(lambda: record_votes([cast]))


def backends() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE %s AND pid <> pg_backend_pid()",
            ["SELECT id::text%"],
        )
        return [pid for (pid,) in cursor.fetchall()]


async def test_every_read_is_of_the_newest_vote(
    fast: AsyncReader, poll: Poll, by_thread: ByThread
) -> None:
    for number in range(1, 6):
        await vote(poll, f"voter {number}")
        refs: list[PollRef] = [poll.id, poll.code] * 3
        found = await asyncio.gather(*(fast.read(ref) for ref in refs))
        assert {one.state.version for one in found} == {number}
        assert all(f'"version":{number},'.encode() in (one.results or b"") for one in found)
        assert {one.tag for one in found} == {found[0].tag}
    asked = len(by_thread.asked)  # once or twice a version, to make what is then at hand
    assert asked <= 10
    await asyncio.gather(*(fast.read(poll.id) for _ in range(50)))
    assert len(by_thread.asked) == asked


async def test_it_reads_what_the_thread_reads(fast: AsyncReader, poll: Poll) -> None:
    (theirs,) = await elsewhere(lambda: read_polls([PollQuery(poll.id, results=True)]))
    ours = await fast.read(poll.id)
    assert ours == theirs
    for one, same in zip(ours.state, theirs.state, strict=True):
        assert type(one) is type(same)


async def test_a_poll_that_is_not_there(fast: AsyncReader, poll: Poll) -> None:
    found = await asyncio.gather(
        fast.read(uuid4()), fast.read(poll.id), fast.read("ABSENT"), return_exceptions=True
    )
    assert [type(one) for one in found] == [errors.PollNotFound, Reading, errors.PollNotFound]


async def test_a_connection_that_dies_costs_nobody_an_answer(
    fast: AsyncReader, poll: Poll, by_thread: ByThread
) -> None:
    (pid,) = await elsewhere(backends)
    asked = [fast.read(poll.id) for _ in range(3)]
    await elsewhere(lambda: kill_backend(pid))
    asked += [fast.read(poll.id) for _ in range(3)]
    found = await asyncio.gather(*asked)
    assert {one.state.id for one in found} == {poll.id}
    assert (await fast.read(poll.id)).state.id == poll.id
    assert by_thread.asked


async def test_one_who_goes_away_takes_nobody_along(fast: AsyncReader, poll: Poll) -> None:
    first, second = fast.read(poll.id), fast.read(poll.id)
    first.cancel()
    assert (await second).state.id == poll.id


async def test_who_waits_when_the_reader_ends_is_answered(fast: AsyncReader, poll: Poll) -> None:
    under_way = fast.read(poll.id)
    await asyncio.sleep(0)
    gathered = fast.read(poll.code)
    fast.close()
    async with asyncio.timeout(10):
        assert (await under_way).state == (await gathered).state


async def test_no_more_wait_than_there_is_room_for(fast: AsyncReader, poll: Poll) -> None:
    found: list[Any] = await asyncio.gather(
        *(fast.read(poll.id) for _ in range(101)), return_exceptions=True
    )
    assert [type(one) for one in found] == [Reading] * 100 + [errors.Overloaded]
    assert (await fast.read(poll.id)).state.id == poll.id
