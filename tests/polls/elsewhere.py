"""Work in a thread, and with a database connection, of its own."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")


async def elsewhere(work: Callable[[], Result]) -> Result:
    """What `work` returns, while the event loop goes on."""

    def run() -> Result:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(run)


def backends_whose_query_is_like(pattern: str) -> list[int]:
    """The processes of PostgreSQL, this connection's aside, whose last query on the test's
    database is LIKE this."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE %s AND pid <> pg_backend_pid()",
            [pattern],
        )
        return [pid for (pid,) in cursor.fetchall()]


def kill_backend(pid: int) -> None:
    """End this process of PostgreSQL, and what it was doing."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        connection.close()
