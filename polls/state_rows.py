"""Poll states straight from their rows: what every batch of votes and every round of reads
begins with, so it is spared the ORM's cost of a query. Both databases.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, models

from polls.domain import PollState
from polls.models import Poll
from polls.refs import PollRef
from polls.statement import LastingSql, Statement

# Asked once: on an event loop every task would make a connection object to look at it.
VENDOR = connection.vendor
COLUMNS = ", ".join(PollState._fields)


def states_query(
    refs: Collection[PollRef], *, lock: bool = False, columns: str = COLUMNS
) -> Statement:
    """Selects the polls which `refs` name.

    Args:
        lock: lock them, in id order, so that no two batches can deadlock.
        columns: COLUMNS for `states_from`.
    """
    ids = stored_uuids([ref for ref in refs if isinstance(ref, UUID)])
    codes = [ref for ref in refs if isinstance(ref, str)]
    if VENDOR == "postgresql":
        arrays = [f"{{{','.join(names)}}}" for names in (ids, codes) if names]
        return Statement(_lasting_query(columns, bool(ids), bool(codes), lock), arrays)
    found_by = [
        f"{column} IN ({', '.join(['%s'] * len(names))})"
        for column, names in (("id", ids), ("code", codes))
        if names
    ]
    return Statement(_select(columns, found_by), ids + codes)  # it has one writer: no lock


def _select(columns: str, found_by: list[str]) -> str:
    found = " OR ".join(found_by) or "false"
    return f"SELECT {columns} FROM polls_poll WHERE {found} ORDER BY id"  # noqa: S608


@cache
def _lasting_query(columns: str, by_id: bool, by_code: bool, lock: bool) -> LastingSql:
    found_by = ["id = ANY (%s::uuid[])"] * by_id + ["code = ANY (%s::text[])"] * by_code
    return LastingSql(_select(columns, found_by) + " FOR UPDATE" * lock)


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
    """How SQLite keeps these UUIDs, and PostgreSQL takes them."""
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
