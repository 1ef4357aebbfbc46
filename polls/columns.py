"""How values are written for the database in use, where many of them are one parameter.

PostgreSQL takes an array, whose elements need quotes or not; SQLite takes JSON.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
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


def uuids(values: Iterable[UUID]) -> list[str]:
    """How SQLite keeps these UUIDs, and PostgreSQL takes them."""
    return [value.hex for value in values]


def list_of(values: Iterable[str]) -> str:
    """What needs no quotes in an array, to be looked for."""
    if VENDOR == "postgresql":
        return f"{{{','.join(values)}}}"
    return orjson.dumps([*values]).decode()


def as_json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def moment(text: str | datetime) -> datetime:
    """A time as SQLite keeps it, which is in UTC; PostgreSQL says so in the text."""
    found = datetime.fromisoformat(text) if isinstance(text, str) else text
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@lru_cache(maxsize=100)  # the votes of a batch are of one moment
def without_zone(at: datetime) -> str:
    """A time as SQLite keeps it."""
    return str(at.replace(tzinfo=None))


# Whole columns, as PostgreSQL's arrays


def plain_array(values: Iterable[object]) -> str:
    """Of what needs no quotes."""
    return f"{{{','.join(['NULL' if one is None else str(one) for one in values])}}}"


def json_array(values: Iterable[object]) -> str:
    return quoted_array(map(as_json, values))


def quoted_array(texts: Iterable[str | None]) -> str:
    elements = [
        "NULL" if text is None
        else f'"{text}"' if '"' not in text
        else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for text in texts
    ]  # fmt: skip
    return f"{{{','.join(elements)}}}"
