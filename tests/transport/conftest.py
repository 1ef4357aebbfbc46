from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.transport.connection import Wire

MakeWire = Callable[..., Wire]


@pytest.fixture
async def wire() -> AsyncIterator[MakeWire]:
    """A function that opens a connection; all are dropped at the end, and must be counted out."""
    made: list[Wire] = []

    def open_one(*args: Any, **kwargs: Any) -> Wire:
        made.append(Wire(*args, **kwargs))
        return made[-1]

    yield open_one
    for one in made:
        await one.end()
    assert all(len(one.connections) == 0 for one in made)
