"""A transaction in three round trips where it would be seven.

On PostgreSQL BEGIN travels with the first query, and statements that answer nothing travel
with COMMIT. Each trip saved is a wait for the network, and one for the interpreter's lock.
Elsewhere, and inside another transaction, this is `transaction.atomic`.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, Error, connection, transaction
from psycopg2 import extensions

from polls.voting.columns import JSONB
from polls.voting.statement import Asking, Result


class _Open(threading.local):
    """This thread's transaction: statements that have not been sent; None without one."""

    unsent: list[bytes] | None = None


_open = _Open()


@contextmanager
def vote_transaction() -> Iterator[None]:
    """Commits at the end of the block, or undoes everything when it raises.

    The block begins with a `query`; what the ORM writes before it would be committed at once.
    There is no transaction inside it: `atomic` would commit what stands before.

    Raises:
        DatabaseError: nothing was stored. When the connection broke at COMMIT that is not known.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    assert _open.unsent is None
    try:
        _open.unsent = [b"BEGIN"]
        yield
        if _send(b"COMMIT") != "COMMIT":
            raise DatabaseError("A statement had failed unnoticed, so nothing was committed.")
    except BaseException:
        _undo()
        raise
    finally:
        _open.unsent = None


def answer(asking: Asking[Result]) -> Result:
    """What `asking` comes to when all it asks is answered."""
    try:
        *before, last = next(asking)
        while True:
            for statement in before:
                tell(*statement)
            *before, last = asking.send(query(last.sql, last.parameters))
    except StopIteration as end:
        result: Result = end.value
        return result


def query(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows that `sql` selects."""
    with _cursor() as cursor:
        if _open.unsent:
            _open.unsent.append(_mogrified(cursor, sql, parameters))
            cursor.execute(_take_unsent())
        else:
            cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def tell(sql: str, parameters: Sequence[Any] = (), is_many: bool = False) -> None:
    """Run a statement whose answer nobody needs, at COMMIT at the latest."""
    with _cursor() as cursor:
        if is_many:  # only SQLite is given such
            cursor.executemany(sql, parameters)
        elif _open.unsent is None:
            cursor.execute(sql, parameters)
        else:
            _open.unsent.append(_mogrified(cursor, sql, parameters))


@contextmanager
def _cursor() -> Iterator[Any]:
    """PostgreSQL's own cursor, without what Django wraps around it, which costs as much as
    the trip, and without its log of queries, which keeps each batch; on SQLite, which speaks
    other SQL, the wrapped one.
    """
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            yield cursor
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.create_cursor() as cursor:
        extensions.register_type(JSONB, cursor)
        yield cursor


def _mogrified(cursor: Any, sql: str, parameters: Sequence[Any]) -> bytes:
    found: bytes = cursor.mogrify(sql, parameters)
    return found


def _take_unsent() -> str:
    assert _open.unsent is not None
    statements = b"; ".join(_open.unsent).decode()
    _open.unsent.clear()
    return statements


def _send(last: bytes) -> str:
    """What the server says it did last."""
    assert _open.unsent is not None
    _open.unsent.append(last)
    with _cursor() as cursor:
        cursor.execute(_take_unsent())
        done: str = cursor.statusmessage
        return done


def _undo() -> None:
    _take_unsent()
    try:
        _send(b"ROLLBACK")
    except Error:
        connection.close()  # which undoes it as well
