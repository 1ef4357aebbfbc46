"""Backends of PostgreSQL that were given up over a transaction nobody else will end.

What was sent may still be read, run and committed there, even long after the connection was
closed: the network keeps it, or the backend stood still. Whoever repeats what it held ends it
first.
"""

from datetime import datetime
from typing import NamedTuple

from polls.voting.statement import Statement
from polls.voting.vote_transaction import query

# A process that has not read its signal yet reads it before it commits.
_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
)


class Backend(NamedTuple):
    """Process ids come again; with the time of the start they do not."""

    pid: int
    backend_start: datetime


_backends: set[Backend] = set()


def give_up(backend: Backend) -> None:
    """Its connection is closed while a transaction is under way."""
    _backends.add(backend)


def endings() -> dict[Backend, Statement]:
    """What ends each of them; for `are_ended`, when it is done."""
    return {backend: Statement(_END, backend) for backend in [*_backends]}


def are_ended(ended: dict[Backend, Statement]) -> None:
    _backends.difference_update(ended)


def end_all() -> None:
    """End them, on this thread's connection.

    Raises:
        DatabaseError: some may live.
    """
    if _backends:
        ended = endings()
        for sql, parameters, _ in ended.values():
            query(sql, parameters)
        are_ended(ended)
