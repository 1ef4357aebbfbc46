"""SQLite without waiting: a process of its own runs the statements (`sqlite_process`).

SQLite works inside whoever calls it. On the event loop it would stop everybody for as long as
the disk takes; a thread wins the interpreter's lock back from a busy loop for each statement,
and uses none of the second core.
"""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import orjson
from django.conf import settings
from django.db import DatabaseError, IntegrityError, OperationalError, connection

from polls.voting import sqlite_process
from polls.voting.loop_connection import Answer, LoopConnection
from polls.voting.sqlite_process import LENGTH_BYTES
from polls.voting.statement import Statement

if TYPE_CHECKING:
    from django.db.backends.sqlite3.base import DatabaseWrapper

_MOST_BYTES_A_READ = 1 << 20
# While somebody else writes for long, the thread waits, which has the patience for it.
_LOCK_SECONDS = 2
_MOST_SECONDS_A_TRIP = 10.0
_ERRORS: dict[str, type[Exception]] = {"IntegrityError": IntegrityError}


class LoopSqlite(LoopConnection):
    """Its process starts with it, and ends with it or with this one, however that ends."""

    FORBIDDEN = IntegrityError

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_failure: Callable[[Exception], None]
    ) -> None:
        super().__init__(loop, on_failure)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._unsent = b""
        self._received = b""
        self._limit: asyncio.TimerHandle | None = None  # of the trip under way
        self._can_be_shared: bool | None = None  # not known yet

    @property
    def other_end(self) -> int:
        assert self._process is not None
        return self._process.pid

    def prepare(self) -> None:
        if self._can_be_shared is None:  # not a database in memory, which is this process's
            self._can_be_shared = not cast("DatabaseWrapper", connection).is_in_memory_db()
        if self._can_be_shared:
            super().prepare()

    async def _open(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._socket.setblocking(False)
            self._process = _start(theirs)
        self.run([Statement("SELECT 1")], self._be_ready)

    def _send(self, statements: Sequence[Statement]) -> None:
        message = orjson.dumps(
            [
                (_with_question_marks(sql), parameters, is_many)
                for sql, parameters, is_many in statements
            ]
        )
        self._unsent = len(message).to_bytes(LENGTH_BYTES) + message
        self._limit = self._loop.call_later(_MOST_SECONDS_A_TRIP, self.fail, _hangs())

    def _poll(self) -> Answer | None:
        assert self._socket is not None
        try:
            if self._unsent:
                sent = self._socket.send(self._unsent)
                self._unsent = self._unsent[sent:]
            received = self._socket.recv(_MOST_BYTES_A_READ)
        except BlockingIOError:
            received = None
        if received == b"":
            raise OperationalError("The process that writes to SQLite has ended.")
        if received:
            self._received += received
            answer = self._take_answer()
            if answer is not None:
                return answer
        self._watch(self._socket.fileno(), also_write=bool(self._unsent))
        return None

    def _take_answer(self) -> Answer | None:
        """The whole answer, once it is there."""
        head, body = self._received[:LENGTH_BYTES], self._received[LENGTH_BYTES:]
        if len(head) < LENGTH_BYTES or len(body) < int.from_bytes(head):
            return None
        self._received = b""
        if self._limit is not None:
            self._limit.cancel()
        error, rows, done = orjson.loads(body)
        if error is not None:
            raise _ERRORS.get(error.partition(":")[0], DatabaseError)(error)
        return Answer(rows, done)

    def _disconnect(self, *, gives_up: bool) -> None:
        self._unsent = self._received = b""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()  # what it had not committed is undone
            with suppress(RuntimeError):  # no thread to be had: it stands dead in lists for a while
                threading.Thread(target=self._process.wait, daemon=True).start()
        if self._limit is not None:
            self._limit.cancel()
        self._socket = self._process = self._limit = None


def _start(line: socket.socket) -> subprocess.Popen[bytes]:
    """A process that answers at the other end of `line`; takes a millisecond."""
    parameters: dict[str, Any] = connection.get_connection_params()
    arguments = (
        *(parameters["database"], connection.settings_dict["OPTIONS"]["init_command"]),
        *(_LOCK_SECONDS, settings.IDLE_IN_TRANSACTION_SECONDS),
    )
    return subprocess.Popen(  # noqa: S603 (nothing that a client sent)
        [sys.executable, "-P", sqlite_process.__file__, *map(str, arguments)],
        stdin=line.fileno(), stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # wherever orjson lies
    )  # fmt: skip


def _hangs() -> OperationalError:
    return OperationalError("The process that writes to SQLite does not answer.")


@cache
def _with_question_marks(sql: str) -> str:
    """The same with SQLite's own placeholders."""
    return sql.replace("%s", "?")
