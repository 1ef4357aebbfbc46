"""PostgreSQL backends whose connection was closed while they may have had a statement to run.

Such a backend may still read, run and commit the statement long afterwards: the network kept it,
or the process stood still. Before the same votes are stored on another connection it is ended.
"""

from datetime import datetime
from typing import NamedTuple

from django.db import connection

# A backend that has not read its signal yet reads it before it commits.
END_BACKEND = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = {} AND backend_start = {}"
)


class Backend(NamedTuple):
    """A server process; pids come again, together with the time of its start they do not."""

    pid: int
    backend_start: datetime


stale_backends: set[Backend] = set()


def end_stale_backends() -> None:
    """End them, on this thread's connection; no query where there are none.

    Raises:
        DatabaseError: some may still run.
    """
    for backend in [*stale_backends]:
        with connection.cursor() as cursor:
            cursor.execute(END_BACKEND.format("%s", "%s"), backend)
        stale_backends.discard(backend)
