"""A PostgreSQL connection of an event loop's own, on which nothing waits.

A statement costs two system calls and no hand-over of the interpreter's lock, which a thread
would have to win back after each. Whatever goes wrong ends the connection, which undoes
whatever was not committed; its user then turns to a thread, which knows how to heal.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from functools import cache, partial
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection
from psycopg2 import extensions
from psycopg2.extras import register_default_jsonb

from polls.refs import parse_ref
from polls.statement import LastingSql, Statement

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_RECONNECT_SECONDS = 1.0
# A loop that asks less often is not worth a connection: tests and scripts have such.
_ASKED_BEFORE_CONNECTING = 16

Then = Callable[[Any], None]


class LoopConnection:
    """Makes one trip at a time. What is lasting of the SQL it prepares on first use.

    Args:
        on_failure: told when the connection failed and is no more; not when it is closed.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_failure: Callable[[Exception], None]
    ) -> None:
        self._loop = loop
        self._on_failure = on_failure
        self._connection: Any = None
        self._cursor: Any = None
        self._prepared: set[str] = set()  # SQL
        self._then: Then | None = None  # takes the answer that is under way
        self._is_ready = False
        self._asked = 0
        self._connecting: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self._watched: int | None = None  # the connection's file descriptor
        self._is_writing = False
        self._settled = asyncio.Event()  # ready, or failed

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    @property
    def backend_pid(self) -> int:
        """The server's process at the other end."""
        found: int = self._connection.info.backend_pid
        return found

    def prepare(self) -> None:
        """Somebody would have liked to use it: when that happened often enough, connect."""
        self._asked += 1
        if (
            self._asked >= _ASKED_BEFORE_CONNECTING
            and self._connecting is None
            and self._loop.time() >= self._retry_at
        ):
            self._connecting = self._loop.create_task(self._connect())

    def run(self, statements: Sequence[Statement], then: Then) -> None:
        """Run these; `then` is given the cursor with the last answer, unless anything fails."""
        try:
            self._then = then
            self._cursor = self._connection.cursor()
            self._cursor.tzinfo_factory = _utc
            self._cursor.execute(b"; ".join([self._encoded(one) for one in statements]))
        except Exception as error:
            self.fail(error)
        else:
            self._go_on()

    def fail(self, error: Exception) -> None:
        self._end()
        self._retry_at = self._loop.time() + _RECONNECT_SECONDS
        self._settled.set()
        self._on_failure(error)

    def close(self) -> None:
        """End the connection, and with it whatever is under way."""
        if self._connecting is not None and not self._loop.is_closed():
            self._connecting.cancel()
            self._connecting = None
        self._end()

    def _encoded(self, statement: Statement) -> bytes:
        sql, parameters = statement
        preparing = b""
        if isinstance(sql, LastingSql):
            name = _name_of(sql)
            if sql not in self._prepared:
                self._prepared.add(sql)
                preparing = f"PREPARE {name} AS {_numbered(sql)}; ".encode()
            sql = f"EXECUTE {name}"
            if parameters:
                sql += f" ({', '.join(['%s'] * len(parameters))})"
        encoded: bytes = self._cursor.mogrify(sql, parameters or None)
        return preparing + encoded

    def _end(self) -> None:
        self._is_ready = False
        self._prepared = set()
        self._then = None
        self._watch(None)
        if self._connection is not None:
            self._connection.close()
        self._connection = self._cursor = None

    async def _connect(self) -> None:
        self._settled.clear()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                # In a thread, for it looks up the host's name and waits for that.
                start = partial(psycopg2.connect, **connection.get_connection_params(), async_=True)
                self._connection = await self._loop.run_in_executor(None, start)
                self._then = self._make_ready
                self._go_on()
                await self._settled.wait()
        except Exception as error:
            self.fail(error)
        self._connecting = None

    def _make_ready(self, _: Any) -> None:
        register_default_jsonb(conn_or_curs=self._connection, loads=lambda text: text)
        extensions.register_type(_UUID, self._connection)
        seconds = settings.IDLE_IN_TRANSACTION_SECONDS
        # As on Django's connections: a process that hangs must not keep a poll's lock.
        idle = f"SET idle_in_transaction_session_timeout = '{seconds}s'"
        # All that is asked here goes by keys. A plan that was made while a table was small lasts
        # with the prepared statement: it must not be to read all of it.
        by_index = "SET enable_seqscan = off"
        settled = ("SET TIME ZONE 'UTC'", idle, by_index)
        self.run([Statement(sql) for sql in settled], self._be_ready)

    def _be_ready(self, _: Any) -> None:
        self._is_ready = True
        self._settled.set()
        self._watch(self._connection.fileno())

    def _go_on(self) -> None:
        """As far as the connection goes without waiting."""
        if not self._is_ready:
            self._watch(None)  # while it connects, it may take another socket
        try:
            state = self._connection.poll()
            if state != extensions.POLL_OK:
                self._watch(self._connection.fileno(), also_write=state == extensions.POLL_WRITE)
            elif self._then is not None:  # else a notice, while nobody asked
                then, self._then = self._then, None
                then(self._cursor)
        except Exception as error:  # whoever waits must be told, whatever happened
            self.fail(error)

    def _watch(self, descriptor: int | None, *, also_write: bool = False) -> None:
        """Call `_go_on` whenever there is something to read there."""
        if self._watched is not None and self._watched != descriptor:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._watched)
                self._loop.remove_writer(self._watched)
            self._is_writing = False
        if descriptor is not None:
            if self._watched != descriptor:
                self._loop.add_reader(descriptor, self._go_on)
            if also_write and not self._is_writing:
                self._loop.add_writer(descriptor, self._go_on)
            elif self._is_writing and not also_write:
                self._loop.remove_writer(descriptor)
            self._is_writing = also_write
        self._watched = descriptor


# The very object that a request named the poll by, so that looking it up compares nothing.
_UUID = extensions.new_type(
    (2950,), "UUID", lambda text, _: None if text is None else parse_ref(text)
)


@cache
def _name_of(sql: str) -> str:
    """The same SQL, the same name: behind a pooler another's statement must be no other."""
    return f"livepoll_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"


@cache
def _numbered(sql: str) -> str:
    """The same with PostgreSQL's own placeholders."""
    first, *others = sql.split("%s")
    return first + "".join(f"${number}{text}" for number, text in enumerate(others, start=1))


def _utc(_offset: object) -> tzinfo:
    return UTC
