"""Poll states straight from their rows: what every batch of votes and every round of reads
begins with, so it is spared the ORM's cost of a query. Both databases.
"""

from collections.abc import Callable, Collection
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.db import models

from polls.columns import VENDOR, moment, names, uuids
from polls.domain import PollState
from polls.models import Poll
from polls.refs import PollRef
from polls.statement import LastingSql, Statement

COLUMNS = ", ".join(PollState._fields)
_FOUND_BY = {
    "postgresql": {"id": "id = ANY (%s::uuid[])", "code": "code = ANY (%s::text[])"},
    "sqlite": {
        name: f"{name} IN (SELECT value FROM json_each(%s))"  # noqa: S608 (no input in it)
        for name in ("id", "code")
    },
}[VENDOR]


def states_query(
    refs: Collection[PollRef], *, lock: bool = False, columns: str = COLUMNS
) -> Statement:
    """Selects the polls which `refs` name.

    Args:
        lock: lock them, in id order, so that no two batches can deadlock.
        columns: COLUMNS for `states_from`.
    """
    ids = uuids([ref for ref in refs if isinstance(ref, UUID)])
    codes = [ref for ref in refs if isinstance(ref, str)]
    sql = _lasting_query(columns, bool(ids), bool(codes), lock)
    return Statement(sql, [names(some) for some in (ids, codes) if some])


@cache
def _lasting_query(columns: str, by_id: bool, by_code: bool, lock: bool) -> LastingSql:
    found_by = [_FOUND_BY["id"]] * by_id + [_FOUND_BY["code"]] * by_code
    found = " OR ".join(found_by) or "false"
    sql = f"SELECT {columns} FROM polls_poll WHERE {found} ORDER BY id"  # noqa: S608
    if lock and VENDOR == "postgresql":  # elsewhere who writes is alone
        sql += " FOR UPDATE"
    return LastingSql(sql)


def states_from(rows: Collection[tuple[Any, ...]]) -> list[PollState]:
    """What the rows of `states_query` say."""
    states = []
    for row in rows:
        values = list(row)
        for place, convert in _CONVERTERS:
            if values[place] is not None:
                values[place] = convert(values[place])
        states.append(PollState._make(values))
    return states


def _converters(
    by_field: dict[type, Callable[[Any], Any]],
) -> list[tuple[int, Callable[[Any], Any]]]:
    fields = [Poll._meta.get_field(name) for name in PollState._fields]
    return [
        (place, by_field[type(field)])
        for place, field in enumerate(fields)
        if type(field) in by_field
    ]


_AS_SQLITE_KEEPS_THEM: dict[type, Callable[[Any], Any]] = {
    models.UUIDField: UUID, models.DateTimeField: moment, models.BooleanField: bool,
}  # fmt: skip
_CONVERTERS = _converters(
    {models.JSONField: orjson.loads} | (_AS_SQLITE_KEEPS_THEM if VENDOR == "sqlite" else {})
)
