"""Results read by the event loop: fresh, and by the thread whenever that cannot be."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from polls import errors, services
from polls.identity.voters import Identity
from polls.models import Poll
from polls.refs import PollRef
from polls.results.reader import PollQuery, Reader, Reading, read_polls
from polls.voting.committer import record_votes
from polls.voting.vote import Cast
from tests.polls.elsewhere import backends_whose_query_is_like, elsewhere, kill_backend

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.servers]


@pytest.fixture
def poll() -> Poll:
    return services.create_poll(question="?", options=["Red", "Green"])[0]


@pytest.fixture
async def reader(poll: Poll) -> AsyncIterator[Reader]:
    """One whose event loop has its lane."""
    found = Reader(capacity=100, batch_size=50)
    try:
        async with asyncio.timeout(20):
            while not found.has_loop_connection():
                await found.read(results_of(poll.id))
        await found.read(results_of(poll.id))
        yield found
    finally:
        found.stop()


@pytest.fixture
def by_thread(monkeypatch: pytest.MonkeyPatch) -> list[PollQuery]:
    """What the reader's thread is asked."""
    asked: list[PollQuery] = []

    def note(queries: Sequence[PollQuery]) -> Any:
        asked.extend(set(queries))
        return read_polls(queries)

    monkeypatch.setattr("polls.results.reader.read_polls", note)
    return asked


def results_of(ref: PollRef) -> PollQuery:
    return PollQuery(ref, results=True)


async def vote(poll: Poll, name: str) -> None:
    cast = Cast(poll.id, Identity(name, "", name), {"choices": [1]})
    await elsewhere(lambda: record_votes([cast]))


async def test_every_read_is_of_the_newest_vote(
    reader: Reader, poll: Poll, by_thread: list[PollQuery]
) -> None:
    for number in range(1, 6):
        await vote(poll, f"voter {number}")
        refs: list[PollRef] = [poll.id, poll.code] * 3
        found = await asyncio.gather(*(reader.read(results_of(ref)) for ref in refs))
        assert {one.state.version for one in found} == {number}
        assert all(f'"version":{number},'.encode() in (one.results or b"") for one in found)
        assert {one.tag for one in found} == {found[0].tag}
    asked = len(by_thread)  # once or twice a version, to make what is then at hand
    assert asked <= 10
    await asyncio.gather(*(reader.read(results_of(poll.id)) for _ in range(50)))
    assert len(by_thread) == asked


async def test_it_reads_what_the_thread_reads(reader: Reader, poll: Poll) -> None:
    (theirs,) = await elsewhere(lambda: read_polls([PollQuery(poll.id, results=True)]))
    ours = await reader.read(results_of(poll.id))
    assert ours == theirs
    assert isinstance(theirs, Reading)
    for one, same in zip(ours.state, theirs.state, strict=True):
        assert type(one) is type(same)


async def test_a_poll_that_is_not_there(reader: Reader, poll: Poll) -> None:
    found = await asyncio.gather(
        reader.read(results_of(uuid4())),
        reader.read(results_of(poll.id)),
        reader.read(results_of("ABSENT")),
        return_exceptions=True,
    )
    assert [type(one) for one in found] == [errors.PollNotFound, Reading, errors.PollNotFound]


async def test_a_connection_that_dies_costs_nobody_an_answer(
    reader: Reader, poll: Poll, by_thread: list[PollQuery]
) -> None:
    (pid,) = await elsewhere(lambda: backends_whose_query_is_like("SELECT id::text%"))
    asked = [reader.read(results_of(poll.id)) for _ in range(3)]
    await elsewhere(lambda: kill_backend(pid))
    asked += [reader.read(results_of(poll.id)) for _ in range(3)]
    found = await asyncio.gather(*asked)
    assert {one.state.id for one in found} == {poll.id}
    assert (await reader.read(results_of(poll.id))).state.id == poll.id
    assert by_thread


async def test_one_who_goes_away_takes_nobody_along(reader: Reader, poll: Poll) -> None:
    first, second = reader.read(results_of(poll.id)), reader.read(results_of(poll.id))
    first.cancel()
    assert (await second).state.id == poll.id


async def test_who_waits_when_the_reader_ends_is_answered(reader: Reader, poll: Poll) -> None:
    under_way = reader.read(results_of(poll.id))
    await asyncio.sleep(0)
    gathered = reader.read(results_of(poll.code))
    reader.close_loop_connection()
    async with asyncio.timeout(10):
        assert (await under_way).state == (await gathered).state


async def test_no_more_wait_than_there_is_room_for(reader: Reader, poll: Poll) -> None:
    found: list[Any] = await asyncio.gather(
        *(reader.read(results_of(poll.id)) for _ in range(101)), return_exceptions=True
    )
    assert [type(one) for one in found] == [Reading] * 100 + [errors.Overloaded]
    assert (await reader.read(results_of(poll.id))).state.id == poll.id
