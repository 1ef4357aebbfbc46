"""How values are written for the database in use, where many of them are one parameter.

PostgreSQL takes an array, whose elements need quotes or not; SQLite takes JSON.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from psycopg2 import extensions

# Asked once: on an event loop every task would make a connection object to look at it.
VENDOR = connection.vendor


# Read as what it says, at once; Django's own connections read it as text.
JSONB = extensions.new_type(
    (3802,), "JSONB", lambda text, _: None if text is None else orjson.loads(text)
)


hex_of = attrgetter("hex")


def uuids(values: Iterable[UUID]) -> list[str]:
    """How SQLite keeps these UUIDs, and PostgreSQL takes them."""
    return [*map(hex_of, values)]


def list_of(values: Iterable[str]) -> str:
    """What needs no quotes in an array, to be looked for."""
    if VENDOR == "postgresql":
        return f"{{{','.join(values)}}}"
    return as_json([*values])


# How SQLite asks whether something is in a `list_of`.
IN_LIST = "IN (SELECT value FROM json_each(%s))"


def as_json(value: object) -> str:
    return orjson.dumps(value).decode()


def moment(text: str | datetime) -> datetime:
    """A time as SQLite keeps it, which is in UTC; PostgreSQL says so in the text."""
    found = datetime.fromisoformat(text) if isinstance(text, str) else text
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@lru_cache(maxsize=100)  # the votes of a batch are of one moment
def without_zone(at: datetime) -> str:
    """A time as SQLite keeps it."""
    return str(at.replace(tzinfo=None))


def written(values: Sequence[Any], write: Callable[[Any], str]) -> list[str | None]:
    """A column's values as text; one that is the same all along, as most of a batch's are, is
    written once."""
    first = values[0] if values else None
    if values.count(first) == len(values):
        return [None if first is None else write(first)] * len(values)
    return [None if value is None else write(value) for value in values]


# Whole columns, as PostgreSQL's arrays


def plain_array(values: Sequence[object]) -> str:
    """Of what needs no quotes."""
    return _array(values, str)


def uuid_array(values: Sequence[UUID]) -> str:
    return _array(values, hex_of)


def time_array(values: Sequence[datetime]) -> str:
    return _array(values, lambda value: f'"{value}"')


def json_array(values: Sequence[object]) -> str:
    return _array(values, _quoted_json)


def _array(values: Sequence[Any], write: Callable[[Any], str]) -> str:
    elements = ["NULL" if text is None else text for text in written(values, write)]
    return f"{{{','.join(elements)}}}"


def _quoted_json(value: object) -> str:
    text = as_json(value)
    if '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
