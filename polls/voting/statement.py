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
    """SQL of the database in use, and its parameters; `is_many`: rows of them, to be run with
    one after the other."""

    sql: str
    parameters: Sequence[Any] = ()
    is_many: bool = False


Asking = Generator[Sequence[Statement], Rows, Result]
