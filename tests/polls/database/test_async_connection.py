"""An event loop's own connection: how it connects, what is set on it, what ends it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from django.db import connection

from polls.database.async_connection import AsyncConnection
from polls.database.stale_backends import stale_backends
from tests.polls.elsewhere import elsewhere, kill_backend
from tests.realtime.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


async def connect() -> AsyncConnection:
    found = AsyncConnection(asyncio.get_running_loop())
    await eventually(found.ready_or_connect)
    return found


@pytest.fixture
async def connected() -> AsyncIterator[AsyncConnection]:
    found = await connect()
    yield found
    found.close()


@pytest.mark.parametrize("way", ["seqscan", "hashjoin", "mergejoin"])
async def test_all_goes_by_keys(connected: AsyncConnection, way: str) -> None:
    assert [tuple(row) for row in await connected.fetch(f"SHOW enable_{way}")] == [("off",)]


async def test_a_commit_that_fails_is_no_answer(connected: AsyncConnection) -> None:
    """PostgreSQL says that a statement is done before it commits it: that must not be enough."""
    await connected.fetch("CREATE TABLE parent (id int PRIMARY KEY)")
    await connected.fetch(
        "CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
    )
    try:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await connected.fetch("INSERT INTO child VALUES (1) RETURNING id")
        assert await connected.fetch("SELECT * FROM child") == []
    finally:
        await connected.fetch("DROP TABLE child, parent")


async def test_an_error_of_the_server_ends_the_connection_and_leaves_no_stale_backend(
    connected: AsyncConnection,
) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connected.fetch("SELECT 1 / 0")
    assert not stale_backends
    assert not connected.ready_or_connect()


async def test_a_connection_that_ends_at_rest_is_noticed(connected: AsyncConnection) -> None:
    ((pid,),) = await connected.fetch("SELECT pg_backend_pid()")
    await elsewhere(lambda: kill_backend(pid))
    await eventually(lambda: not connected.ready_or_connect())
    assert not stale_backends
    await eventually(connected.ready_or_connect)


@pytest.mark.parametrize(
    "options",
    [
        {"sslmode": "prefer"}, {"channel_binding": "prefer"}, {"gssencmode": "disable"},
        {"application_name": "votes"}, {"options": "-c work_mem=8MB"},
    ],
    ids=str,
)  # fmt: skip
async def test_it_connects_with_what_libpq_is_given(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = connection.settings_dict
    monkeypatch.setitem(settings, "OPTIONS", settings["OPTIONS"] | options)
    (await connect()).close()
