"""Results read on the event loop: fresh, and by the thread whenever that cannot be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from polls import errors, services
from polls.identity.voters import Identity
from polls.models import Poll
from polls.refs import PollRef
from polls.results import loop_reader
from polls.results import reader as thread_reader
from polls.results.loop_reader import LoopReader, close_loop_reader
from polls.voting import loop_connection
from polls.voting.committer import Cast, record_votes
from tests.polls.elsewhere import elsewhere, kill_backend
from tests.realtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.servers]


@pytest.fixture
def poll() -> Poll:
    return services.create_poll(question="?", options=["Red", "Green"])[0]


@pytest.fixture
async def reader(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LoopReader]:
    """One that is connected."""
    monkeypatch.setattr(loop_connection, "_ASKED_BEFORE_CONNECTING", 1)
    loop = asyncio.get_running_loop()
    found = loop_reader._readers[loop] = LoopReader(loop)
    with pytest.raises(errors.PollNotFound):
        await found.ask(uuid4())
    await eventually(lambda: found._connection.is_ready)
    yield found
    close_loop_reader()


@pytest.fixture
def by_thread(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the thread was asked."""
    asked: list[Any] = []
    ask = thread_reader.reader.ask

    def note(question: Any) -> Any:
        asked.append(question.ref)
        return ask(question)

    monkeypatch.setattr(thread_reader.reader, "ask", note)
    return asked


async def vote(poll: Poll, name: str) -> None:
    cast = Cast(poll.id, Identity(name, "", name), {"choices": [1]})
    await elsewhere(lambda: record_votes([cast]))


async def test_every_read_is_of_the_newest_vote(
    reader: LoopReader, poll: Poll, by_thread: list[Any]
) -> None:
    for number in range(1, 6):
        await vote(poll, f"voter {number}")
        refs: list[PollRef] = [poll.id, poll.code] * 3
        found = await asyncio.gather(*(reader.ask(ref) for ref in refs))
        assert {one.state.version for one in found} == {number}
        assert all(f'"version":{number},'.encode() in (one.results or b"") for one in found)
        assert {one.tag for one in found} == {found[0].tag}
    asked = len(by_thread)  # once or twice a version, to make what is then at hand
    assert asked <= 10
    await asyncio.gather(*(reader.ask(poll.id) for _ in range(50)))
    assert len(by_thread) == asked


async def test_a_poll_that_is_not_there(reader: LoopReader, poll: Poll) -> None:
    found = await asyncio.gather(
        reader.ask(uuid4()), reader.ask(poll.id), reader.ask("ABSENT"), return_exceptions=True
    )
    assert [type(one) for one in found] == [
        errors.PollNotFound, thread_reader.Reading, errors.PollNotFound
    ]  # fmt: skip


async def test_a_connection_that_dies_costs_nobody_an_answer(
    reader: LoopReader, poll: Poll, by_thread: list[Any]
) -> None:
    pid = reader._connection.other_end
    asked = [reader.ask(poll.id) for _ in range(3)]
    await elsewhere(lambda: kill_backend(pid))
    asked += [reader.ask(poll.id) for _ in range(3)]
    found = await asyncio.gather(*asked)
    assert {one.state.id for one in found} == {poll.id}
    assert by_thread


async def test_one_who_goes_away_takes_nobody_along(reader: LoopReader, poll: Poll) -> None:
    first, second = reader.ask(poll.id), reader.ask(poll.id)
    first.cancel()
    assert (await second).state.id == poll.id


async def test_who_waits_when_the_reader_ends_is_answered(reader: LoopReader, poll: Poll) -> None:
    under_way = reader.ask(poll.id)
    await asyncio.sleep(0)
    gathered = reader.ask(poll.code)
    close_loop_reader()
    async with asyncio.timeout(10):
        assert (await under_way).state == (await gathered).state


async def test_no_more_wait_than_there_is_room_for(
    reader: LoopReader, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_reader, "_CAPACITY", 2)
    asked = [reader.ask(poll.id) for _ in range(3)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in found] == [thread_reader.Reading] * 2 + [errors.Overloaded]
    assert (await reader.ask(poll.id)).state.id == poll.id
