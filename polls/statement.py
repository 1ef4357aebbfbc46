"""What is asked of the database, by code that leaves the asking to somebody else.

Such code is a generator: it yields the statements of one trip and is sent the rows of the last.
So one and the same serves a thread, which waits for each answer, and an event loop, which must
not.
"""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")
Rows = Sequence[tuple[Any, ...]]


class LastingSql(str):
    """SQL that is the same time and again, a cast behind each %s: whoever keeps a connection to
    themselves has PostgreSQL parse and plan it once, a third of what a batch costs it."""

    __slots__ = ()


class Statement(NamedTuple):
    """SQL of the database in use, and its parameters."""

    sql: str
    parameters: Sequence[Any] = ()


Asking = Generator[Sequence[Statement], Rows, Result]
