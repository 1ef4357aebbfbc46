"""Polls compared with the database, as each process does with all it shows: one query."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError
from pytest_django import DjangoAssertNumQueries

from polls import selectors, services
from polls.errors import Overloaded
from polls.identity.voters import Identity
from polls.results.changes import Changes
from polls.results.reader import Reader
from polls.rules.poll import PollState
from polls.voting.committer import record_votes
from polls.voting.vote import Cast
from tests.realtime.factories import make_state


def make_poll() -> PollState:
    return selectors.state_of(services.create_poll(question="?", options=["Red", "Green"])[0])


@pytest.mark.django_db
def test_one_query_finds_what_was_voted_on_edited_reset_and_deleted(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    quiet, voted, closed, reset, deleted = known = [make_poll() for _ in range(5)]
    record_votes([Cast(voted.id, Identity("v", "", "v"), {"choices": [2]})])
    services.close_poll(closed.id)
    services.reset_poll(reset.id)
    services.delete_poll(deleted.id)
    with django_assert_num_queries(1):
        states, gone = selectors.get_changes(known)
    assert gone == [deleted.id]
    changed = {state.id: state for state in states}
    assert set(changed) == {voted.id, closed.id, reset.id}
    assert changed[voted.id].counts == {"1": 0, "2": 1}
    assert changed[closed.id].closed_at is not None
    assert selectors.get_changes([quiet, *states]) == ([], [])


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    found = Reader(capacity=10, batch_size=10)
    yield found
    await asyncio.to_thread(found.stop)


async def compare(reader: Reader, monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> Changes:
    """Ask with a database that does this, call by call."""
    left = iter(outcomes)

    def get_changes(_known: Any) -> Any:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(selectors, "get_changes", get_changes)
    async with asyncio.timeout(10):
        return await reader.read_changes([make_state()])


async def test_a_connection_that_broke_is_made_anew(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = uuid4()
    found = await compare(reader, monkeypatch, OperationalError("broken"), ([], [gone]))
    assert found == Changes([], [gone])


async def test_without_a_database_it_is_overloaded(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Overloaded):
        await compare(reader, monkeypatch, *[OperationalError("away")] * 2)
