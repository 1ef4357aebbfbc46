"""A PostgreSQL connection of one event loop's own, by asyncpg, which heals itself.

A query on it costs no thread: nothing has to win the interpreter's lock back. It may be not ready
for any time, so its callers need another way to the database. A pooler in between must pool by
session: statements are prepared, and settings are made once a connection.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import asyncpg
import orjson

from polls.database.connection_parameters import bound_silence, dsn
from polls.database.stale_backends import END_BACKEND, Backend, stale_backends

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_RETRY_SECONDS = 1.0
# How often it is asked for, in all, before it connects: loops of tests and scripts end sooner.
_ASKED_BEFORE_CONNECTING = 16
# What is asked here goes by keys. A plan that was made while a table was small lasts with the
# prepared statement: it must not be one that reads the whole table.
_SETTINGS = """SET TIME ZONE 'UTC'; SET enable_seqscan = off; SET enable_hashjoin = off;
    SET enable_mergejoin = off"""
_BACKEND = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"


class AsyncConnection:
    """At most one query at a time. All methods on its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connection: asyncpg.Connection[Any] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._is_asking = False
        self._backend: Backend | None = None
        self._asked = 0
        self._retry_at = 0.0  # none has failed yet

    def ready_or_connect(self) -> bool:
        """Whether a query can be made; when not, connects if it was asked often enough."""
        if self._connection is not None:
            return True
        self._asked += 1
        if (
            self._asked >= _ASKED_BEFORE_CONNECTING
            and self._connecting is None
            and self._loop.time() >= self._retry_at
        ):
            self._connecting = self._loop.create_task(self._connect())
        return False

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows that `sql` selects; it is prepared on first use.

        Raises:
            asyncpg.IntegrityConstraintViolationError: undone; the connection goes on.
            Exception: any other; the connection is closed. Unless it was the server who reported
                the error, the statement may still be executed: `stale_backends` has its backend.
        """
        assert self._connection is not None
        self._is_asking = True
        try:
            rows: list[asyncpg.Record] = await self._connection.fetch(sql, *arguments)
            return rows
        except asyncpg.IntegrityConstraintViolationError:
            raise
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError) and not isinstance(
                error, asyncpg.PostgresConnectionError
            ):
                self._is_asking = False  # the server says so: the statement has ended
            self._retry_at = self._loop.time() + _RETRY_SECONDS
            self.close()
            raise
        finally:
            self._is_asking = False

    def close(self) -> None:
        """End the connection at once; a query under way raises."""
        if self._connecting is not None and not self._loop.is_closed():
            self._connecting.cancel()
            self._connecting = None
        closing, self._connection = self._connection, None
        if closing is None:
            return
        if self._is_asking and self._backend is not None:
            stale_backends.add(self._backend)
        with suppress(RuntimeError):  # its event loop has closed
            closing.terminate()

    def _on_termination(self, ended: Any) -> None:
        """The server, or the network, ended it."""
        if self._connection is ended and not self._is_asking:  # else `fetch` raises
            self._connection = None

    async def _connect(self) -> None:
        opened: asyncpg.Connection[Any] | None = None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                opened = await asyncpg.connect(dsn())
                bound_silence(opened)
                await opened.set_type_codec(
                    "jsonb", schema="pg_catalog", format="binary",
                    encoder=lambda value: b"\x01" + orjson.dumps(value),  # the form's version
                    decoder=lambda value: orjson.loads(value[1:]),
                )  # fmt: skip
                await opened.execute(_SETTINGS)
                self._backend = Backend(*await opened.fetchrow(_BACKEND))
                for backend in [*stale_backends]:
                    await opened.fetch(END_BACKEND.format("$1", "$2"), *backend)
                    stale_backends.discard(backend)
            opened.add_termination_listener(self._on_termination)
            self._connection, opened = opened, None
        except Exception as error:
            log = logger.info if self._retry_at else logger.warning
            log("no connection of the event loop's own for now: %r", error)
            self._retry_at = self._loop.time() + _RETRY_SECONDS
        finally:
            self._connecting = None
            if opened is not None:
                opened.terminate()
