"""SQLite asked by an event loop: large messages, a process that dies, none that is left."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from django.db import DatabaseError, OperationalError

from polls.voting import loop_connection, loop_sqlite
from polls.voting.loop_connection import Answer
from polls.voting.loop_sqlite import LoopSqlite
from polls.voting.statement import Statement
from tests.realtime.waiting import eventually


class Watched(LoopSqlite):
    """Knows its failures."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        super().__init__(asyncio.get_running_loop(), self.failures.append)

    async def ask(self, sql: str, parameters: Any = ()) -> Any:
        """The rows."""
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self.run([Statement(sql, parameters)], answered.set_result)
        async with asyncio.timeout(20):
            return (await answered).rows

    def is_ready_now(self) -> bool:
        if not self.is_ready:
            self.prepare()
        return self.is_ready


def database_at(path: str, *, in_memory: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        get_connection_params=lambda: {"database": path, "timeout": 5},
        settings_dict={"OPTIONS": {"init_command": "PRAGMA journal_mode=WAL;"}},
        is_in_memory_db=lambda: in_memory,
    )


@pytest.fixture
async def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    monkeypatch.setattr(loop_sqlite, "connection", database_at(str(tmp_path / "polls.sqlite3")))
    monkeypatch.setattr(loop_connection, "_ASKED_BEFORE_CONNECTING", 1)
    monkeypatch.setattr(loop_connection, "_RECONNECT_SECONDS", 0)
    found = Watched()
    await eventually(found.is_ready_now)
    yield found
    found.close()


def is_gone(pid: int) -> bool:
    """No such process, not even one that nobody has waited for."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid)
        return False
    return True


async def test_a_message_larger_than_any_buffer(connection: Watched) -> None:
    text = "x" * 5_000_000
    assert await connection.ask("SELECT %s", [text]) == [[text]]
    assert await connection.ask("SELECT 1") == [[1]]
    assert connection.failures == []


async def test_what_fails_there_fails_here(connection: Watched) -> None:
    pid = connection.other_end
    connection.run([Statement("SELECT no_such_thing")], lambda _: pytest.fail("answered"))
    await eventually(lambda: bool(connection.failures))
    assert isinstance(connection.failures[0], DatabaseError)
    assert "no_such_thing" in str(connection.failures[0])
    assert not connection.is_ready
    await eventually(lambda: is_gone(pid))
    await eventually(connection.is_ready_now)  # and it heals


async def test_a_process_that_dies_at_rest_is_noticed(connection: Watched) -> None:
    os.kill(connection.other_end, signal.SIGKILL)
    await eventually(lambda: not connection.is_ready)
    assert isinstance(connection.failures[0], OperationalError)
    await eventually(connection.is_ready_now)


async def test_a_process_that_hangs_is_ended(
    connection: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_sqlite, "_MOST_SECONDS_A_TRIP", 0.2)
    os.kill(connection.other_end, signal.SIGSTOP)
    connection.run([Statement("SELECT 1")], lambda _: pytest.fail("answered"))
    await eventually(lambda: bool(connection.failures))
    assert "does not answer" in str(connection.failures[0])
    await eventually(connection.is_ready_now)


async def test_who_waits_is_told_even_when_no_thread_can_be_had(
    connection: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    process = connection._process
    assert process is not None
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        process.kill()
        await eventually(lambda: bool(connection.failures))
    process.wait()
    await eventually(connection.is_ready_now)


async def test_nothing_is_left_of_it(connection: Watched) -> None:
    pid, descriptors = connection.other_end, psutil.Process().num_fds()
    connection.close()
    await eventually(lambda: is_gone(pid))
    assert psutil.Process().num_fds() == descriptors - 1
    assert connection.failures == []


async def test_one_whose_event_loop_has_closed_is_ended_too(
    connection: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_another() -> Watched:
        other = Watched()
        await eventually(other.is_ready_now)
        return other

    other = await asyncio.to_thread(asyncio.run, open_another())
    pid = other.other_end
    other.close()
    await eventually(lambda: is_gone(pid))


async def test_a_database_that_cannot_be_opened_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_sqlite, "connection", database_at(str(tmp_path / "no" / "such")))
    monkeypatch.setattr(loop_connection, "_ASKED_BEFORE_CONNECTING", 1)
    connection = Watched()
    rests = []
    for number in range(1, 8):
        connection._retry_at = 0
        connection.prepare()
        await eventually(lambda number=number: len(connection.failures) == number)  # type: ignore[misc]
        rests.append(round(connection._retry_at - asyncio.get_running_loop().time()))
    assert rests == [1, 2, 4, 8, 16, 30, 30]
    assert not connection.is_ready
    connection.close()


async def test_a_database_in_memory_is_left_to_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop_sqlite, "connection", database_at(":memory:", in_memory=True))
    connection = Watched()
    for _ in range(100):
        connection.prepare()
    assert connection._connecting is None
