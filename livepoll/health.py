"""Whether this process lives (/healthz) and whether it should get traffic (/readyz).

Answered before Django and by any Host: probes use addresses, not names.
"""

import asyncio
import time
from collections.abc import Awaitable
from functools import cache
from typing import Any

import orjson
from channels.layers import get_channel_layer
from django.apps import apps
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader

from livepoll.request_threads import RequestThreads
from livepoll.shared_answer import SharedAnswer
from polls import draining
from polls.database.outages import last_write
from polls.http.response import respond

_CHECK_TIMEOUT_SECONDS = 1.0
_ANSWER_SECONDS = 1.0
# What a role or a database may do is settled when a connection begins.
_CONNECTION_SECONDS = 5.0

# A connection of its own: no other request can take it.
_threads = RequestThreads("readiness", threads=1, waiting=1)


class NotReady(Exception):
    """The database answers, but a vote could not be stored; the text says why."""


async def healthz(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """200 as long as the process answers at all; looks at nothing else."""
    await respond(send, 200, b'{"status":"ok"}', [])


async def readyz(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """200 when votes can be taken, else 503.

    The database decides: it answers, may be written to, and has the tables of this version. The
    channel layer is shown but does not: without it votes count and screens follow from the
    database, only a little later. All requests of a second share one question: a flood of them
    costs the database nothing more.
    """
    status, body = await _readiness()
    await respond(send, status, orjson.dumps(body), [])


def stop_asking() -> None:
    """Close the connection and forget what it said; the next request opens one again."""
    _threads.stop()
    checks.forget()


async def _readiness() -> tuple[int, dict[str, Any]]:
    if draining.is_draining():
        return 503, {"status": "draining"}
    found = await checks.get()
    refusal = last_write.refusal()
    if refusal is not None:
        found = {**found, "database": {"ok": False, "error": refusal}}
    if not found["database"]["ok"]:
        return 503, {"status": "not ready", **found}
    return 200, {"status": "ready", **found}


async def _check_both() -> dict[str, Any]:
    database, layer = await asyncio.gather(_timed(_ask_database()), _check_channel_layer())
    return {"database": database, "channel_layer": layer}


checks = SharedAnswer(_check_both, max_age_seconds=_ANSWER_SECONDS)


async def _ask_database() -> None:
    await asyncio.wrap_future(_threads.submit(_check_what_a_vote_needs))


def _check_what_a_vote_needs() -> None:
    """On the thread, and the connection, of readiness. Two queries, without rows.

    Raises:
        Exception: votes cannot be stored.
    """
    try:
        _close_if_old()
        with connection.cursor() as cursor:
            _CAN_WRITE[connection.vendor](cursor)
            cursor.execute(_reads_every_column())
        if not _is_migrated():
            raise NotReady("migrations")
    except BaseException:
        connection.close()  # the next time on another one
        raise


_connected_until = 0.0


def _close_if_old() -> None:
    global _connected_until
    now = time.monotonic()
    if now >= _connected_until:
        connection.close()
        _connected_until = now + _CONNECTION_SECONDS


def _check_postgresql_writes(cursor: Any) -> None:
    cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool")
    if cursor.fetchone()[0]:
        raise NotReady("read-only")


def _check_sqlite_writes(cursor: Any) -> None:
    """Take the lock of writers for a moment, which a read-only file does not give."""
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        cursor.execute("BEGIN IMMEDIATE")
    except OperationalError as error:
        if "locked" not in str(error):  # that means that another writes, so it can be written to
            raise
    else:
        cursor.execute("ROLLBACK")


_CAN_WRITE = {"postgresql": _check_postgresql_writes, "sqlite": _check_sqlite_writes}


@cache
def _reads_every_column() -> str:
    """A query for no row of each table that polls has, which names all columns of this version."""
    quote = connection.ops.quote_name
    counts = []
    for model in apps.get_app_config("polls").get_models():
        table = quote(model._meta.db_table)
        # With its table: SQLite takes a quoted name that is no column for a text.
        columns = ", ".join(
            f"{table}.{quote(str(field.column))}"
            for field in model._meta.concrete_fields
            if field.column
        )
        rows = f"SELECT {columns} FROM {table} WHERE 1 = 0"  # noqa: S608 (our own names)
        counts.append(f"(SELECT count(*) FROM ({rows}) AS none)")  # noqa: S608
    return f"SELECT {', '.join(counts)}"


_has_been_migrated = False


def _is_migrated() -> bool:
    """Whether all migrations of polls are applied; asked until they are."""
    global _has_been_migrated
    if not _has_been_migrated:
        loader = MigrationLoader(connection)
        needed = {key for key in loader.disk_migrations if key[0] == "polls"}
        _has_been_migrated = needed <= set(loader.applied_migrations)
    return _has_been_migrated


async def _check_channel_layer() -> dict[str, Any]:
    layer = get_channel_layer()
    return await _timed(layer.group_send("livepoll.readiness", {"type": "readiness"}))


async def _timed(check: Awaitable[Any]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        await asyncio.wait_for(check, _CHECK_TIMEOUT_SECONDS)
    except NotReady as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:  # any failure means not ready, and says why
        return {"ok": False, "error": type(error).__name__}
    return {"ok": True, "ms": round((time.perf_counter() - started) * 1000, 1)}
