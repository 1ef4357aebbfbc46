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
    return _asking_for(refs, "{}", columns, lock)


def lock_query(refs: Collection[PollRef]) -> Statement:
    """Locks them, as `states_query` would, and says only how many."""
    return _asking_for(refs, "SELECT count(*) FROM ({}) AS locked", "1", True)


def _asking_for(refs: Collection[PollRef], frame: str, columns: str, lock: bool) -> Statement:
    ids = uuids([ref for ref in refs if isinstance(ref, UUID)])
    codes = [ref for ref in refs if isinstance(ref, str)]
    sql = _lasting_query(frame, columns, bool(ids), bool(codes), lock)
    return Statement(sql, [names(some) for some in (ids, codes) if some])


@cache
def _lasting_query(frame: str, columns: str, by_id: bool, by_code: bool, lock: bool) -> LastingSql:
    found_by = [_FOUND_BY["id"]] * by_id + [_FOUND_BY["code"]] * by_code
    found = " OR ".join(found_by) or "false"
    sql = f"SELECT {columns} FROM polls_poll WHERE {found} ORDER BY id"  # noqa: S608
    return LastingSql(frame.format(sql + " FOR UPDATE" * (lock and VENDOR == "postgresql")))


def states_from(rows: Collection[tuple[Any, ...]]) -> list[PollState]:
    """What the rows of `states_query` say."""
    if VENDOR == "postgresql":
        return [PollState._make(row) for row in rows]
    states = []
    for row in rows:
        values = list(row)
        for place, convert in _KEPT_OTHERWISE:
            if values[place] is not None:
                values[place] = convert(values[place])
        states.append(PollState._make(values))
    return states


# SQLite's driver reads plain values only.
_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    models.BooleanField: bool, models.DateTimeField: moment,
    models.JSONField: orjson.loads, models.UUIDField: UUID,
}  # fmt: skip
_KEPT_OTHERWISE = [
    (place, _CONVERTERS[field])
    for place, name in enumerate(PollState._fields)
    if (field := type(Poll._meta.get_field(name))) in _CONVERTERS
]
