"""Poll states straight from their rows: what every batch of votes and every round of reads
begins with, so it is spared the ORM's cost of a query. Both databases.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, models

from polls.domain import PollState
from polls.models import Poll
from polls.refs import PollRef

# Asked once: on an event loop every task would make a connection object to look at it.
VENDOR = connection.vendor
COLUMNS = ", ".join(PollState._fields)


def states_query(
    refs: Collection[PollRef], *, lock: bool = False, columns: str = COLUMNS
) -> tuple[str, list[str]]:
    """SQL and parameters that select the polls which `refs` name.

    Args:
        lock: lock them, in id order, so that no two batches can deadlock.
        columns: COLUMNS for `states_from`.
    """
    ids = stored_uuids([ref for ref in refs if isinstance(ref, UUID)])
    codes = [ref for ref in refs if isinstance(ref, str)]
    found_by = []
    if ids:
        found_by.append(f"id IN ({', '.join(['%s'] * len(ids))})")
    if codes:
        found_by.append(f"code IN ({', '.join(['%s'] * len(codes))})")
    sql = f"SELECT {columns} FROM polls_poll WHERE {' OR '.join(found_by) or 'false'}"  # noqa: S608
    if lock:
        sql += " ORDER BY id"
        if VENDOR == "postgresql":  # SQLite has one writer anyway
            sql += " FOR UPDATE"
    return sql, ids + codes


def states_from(rows: Collection[tuple[Any, ...]]) -> list[PollState]:
    """What the rows of `states_query` say."""
    converters = _CONVERTERS[VENDOR]
    states = []
    for row in rows:
        values = list(row)
        for place, convert in converters:
            if values[place] is not None:
                values[place] = convert(values[place])
        states.append(PollState._make(values))
    return states


def stored_uuids(values: Iterable[UUID]) -> list[str]:
    """How the database writes these UUIDs."""
    if VENDOR == "postgresql":
        return [str(value) for value in values]
    return [value.hex for value in values]


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _converters(
    by_field: dict[type, Callable[[Any], Any]],
) -> list[tuple[int, Callable[[Any], Any]]]:
    fields = [Poll._meta.get_field(name) for name in PollState._fields]
    return [
        (place, by_field[type(field)])
        for place, field in enumerate(fields)
        if type(field) in by_field
    ]


_CONVERTERS = {
    "postgresql": _converters({models.JSONField: orjson.loads}),
    "sqlite": _converters(
        {models.JSONField: orjson.loads, models.UUIDField: UUID, models.DateTimeField: _aware}
    ),
}
