"""What is asked of the database, by code that leaves the asking to somebody else.

Such code is a generator: it yields statements and is sent their rows. So one and the same
serves a thread, which waits for each answer, and an event loop, which must not.
"""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")
Rows = Sequence[tuple[Any, ...]]


class Statement(NamedTuple):
    """SQL of the database in use, and its parameters."""

    sql: str
    parameters: Sequence[Any] = ()


Asking = Generator[Statement, Rows, Result]
