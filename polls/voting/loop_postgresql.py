"""PostgreSQL without waiting: psycopg2's own asynchronous connection."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from functools import cache, partial
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection
from psycopg2 import extensions

from polls.refs import parse_ref
from polls.voting import abandoned
from polls.voting.abandoned import Backend
from polls.voting.columns import JSONB
from polls.voting.loop_connection import Answer, LoopConnection
from polls.voting.statement import LastingSql, Statement

_WHO = Statement("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")


class LoopPostgresql(LoopConnection):
    """What is lasting of the SQL it prepares on first use."""

    FORBIDDEN = psycopg2.IntegrityError

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_failure: Callable[[Exception], None]
    ) -> None:
        super().__init__(loop, on_failure)
        self._connection: Any = None
        self._cursor: Any = None
        self._backend: Backend | None = None
        self._prepared: set[str] = set()  # SQL

    @property
    def other_end(self) -> int:
        assert self._backend is not None
        return self._backend.pid

    async def _open(self) -> None:
        # In a thread, for it looks up the host's name and waits for that.
        start = partial(psycopg2.connect, **connection.get_connection_params(), async_=True)
        self._connection = await self._loop.run_in_executor(None, start)
        self._then = self._make_ready
        self._go_on()

    def _make_ready(self, _: Answer) -> None:
        for one in (_UUID, JSONB):
            extensions.register_type(one, self._connection)
        seconds = settings.IDLE_IN_TRANSACTION_SECONDS
        # As on Django's connections: a process that hangs must not keep a poll's lock.
        idle = f"SET idle_in_transaction_session_timeout = '{seconds}s'"
        # All that is asked here goes by keys. A plan that was made while a table was small lasts
        # with the prepared statement: it must not be to read all of it.
        by_keys = [f"SET enable_{way} = off" for way in ("seqscan", "hashjoin", "mergejoin")]
        settled = [Statement(sql) for sql in ("SET TIME ZONE 'UTC'", idle, *by_keys)]
        ended = abandoned.endings()
        self.run([*settled, *ended.values(), _WHO], partial(self._have_ended, ended))

    def _have_ended(self, ended: dict[Backend, Statement], answer: Answer) -> None:
        abandoned.are_ended(ended)
        self._be_ready(answer)

    def _be_ready(self, answer: Answer) -> None:
        self._backend = Backend(*answer.rows[0])
        super()._be_ready(answer)
        self._watch(self._connection.fileno())

    def _send(self, statements: Sequence[Statement]) -> None:
        self._cursor = self._connection.cursor()
        self._cursor.tzinfo_factory = _utc
        self._cursor.execute(b"; ".join([self._encoded(one) for one in statements]))

    def _encoded(self, statement: Statement) -> bytes:
        sql, parameters, _ = statement
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

    def _poll(self) -> Answer | None:
        if not self._is_ready:
            self._watch(None)  # while it connects, it may take another socket
        state = self._connection.poll()
        if state != extensions.POLL_OK:
            self._watch(self._connection.fileno(), also_write=state == extensions.POLL_WRITE)
            return None
        if self._then is None or self._cursor is None:  # a notice, or connected
            return Answer([])
        selected = self._cursor.description is not None
        return Answer(self._cursor.fetchall() if selected else [], self._cursor.statusmessage)

    def _disconnect(self, *, gives_up: bool) -> None:
        if gives_up and self._backend is not None:
            abandoned.give_up(self._backend)
        self._backend = None
        self._prepared = set()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._cursor = None


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
