"""Poll states straight from their rows: what every batch of votes and every round of reads
begins with, so it is spared the ORM's cost of a query. Both databases.
"""

from collections.abc import Callable, Collection
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.db import models

from polls.models import Poll
from polls.refs import PollRef
from polls.rules.poll import PollState
from polls.voting.columns import IN_LIST, VENDOR, list_of, moment, uuids
from polls.voting.statement import LastingSql, Statement

COLUMNS = ", ".join(PollState._fields)
_FOUND_BY = {
    "postgresql": {"id": "id = ANY (%s::uuid[])", "code": "code = ANY (%s::text[])"},
    "sqlite": {"id": f"id {IN_LIST}", "code": f"code {IN_LIST}"},
}[VENDOR]


def states_query(refs: Collection[PollRef], *, lock: bool = False) -> Statement:
    """Selects the polls which `refs` name, for `states_from`.

    Args:
        lock: lock them, in id order, so that no two batches can deadlock.
    """
    named, parameters = _named(refs)
    return Statement(_query(named, "{}", COLUMNS, lock), parameters)


def lock_then_states(refs: Collection[PollRef], columns: str) -> list[Statement]:
    """The same in two statements, of which the second sees what was committed while the first
    waited for the locks; one alone where a transaction begins with the only lock there is."""
    named, parameters = _named(refs)
    states = Statement(_query(named, "{}", columns, False), parameters)
    if VENDOR != "postgresql":
        return [states]
    count = "SELECT count(*) FROM ({}) AS locked"  # not a row for each
    return [Statement(_query(named, count, "1", True), parameters), states]


def _named(refs: Collection[PollRef]) -> tuple[tuple[str, ...], list[str]]:
    """The columns by which `refs` name polls, and a parameter for each of them."""
    ids = uuids([ref for ref in refs if isinstance(ref, UUID)])
    codes = [ref for ref in refs if isinstance(ref, str)]
    by_column = {"id": ids, "code": codes} if codes else {"id": ids}
    return tuple(by_column), [list_of(some) for some in by_column.values()]


@cache
def _query(named: tuple[str, ...], frame: str, columns: str, lock: bool) -> LastingSql:
    found = " OR ".join([_FOUND_BY[name] for name in named])
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
