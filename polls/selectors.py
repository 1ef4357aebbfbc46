"""Reads of polls by id, join code or filter; reads of votes stand beside what uses them."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.expressions import Col
from django.utils import timezone

from polls.database.async_connection import AsyncConnection
from polls.database.json_table import json_table
from polls.errors import PollNotFound
from polls.models import Option, Poll, Vote
from polls.refs import PollRef, ids_and_codes, parse_ref, polls_named
from polls.rules.poll import PollState, Status


@dataclass(frozen=True, slots=True)
class PollDetails:
    """A poll's texts and times: the part that votes do not change."""

    state: PollState
    question: str
    description: str
    options: tuple[tuple[int, str], ...]
    duration: int | None
    listed: bool
    created_at: datetime
    embed_origins: list[str]


_DETAIL_FIELDS = (
    "question", "description", "duration", "listed", "created_at", "embed_origins",
)  # fmt: skip
_TIMELINE_POINTS = 80


# Written in SQL because the ORM takes 0.9 ms to compile it, a quarter of a batch of forty votes.
_NAMED = {
    "postgresql": "id = ANY (%s::uuid[]) OR code = ANY (%s::text[])",
    "sqlite": """id IN (SELECT value FROM json_each(%s))
        OR code IN (SELECT value FROM json_each(%s))""",
}[connection.vendor]
_GET_STATES = f"""SELECT {", ".join(PollState._fields)} FROM polls_poll WHERE {_NAMED}
    ORDER BY id"""  # noqa: S608 (names of columns)
_LOCK_STATES = _GET_STATES + " FOR UPDATE" * connection.features.has_select_for_update


def get_states(refs: Collection[PollRef]) -> list[PollState]:
    """The states of those polls that exist, in id order. One query."""
    return _select_states(_GET_STATES, refs)


def lock_states(refs: Collection[PollRef]) -> list[PollState]:
    """The same, each poll's row locked until the transaction ends, in id order.

    To be called inside a transaction. SQLite has no such lock: there the transaction has the
    database's one write lock from its beginning.
    """
    return _select_states(_LOCK_STATES, refs)


def _select_states(sql: str, refs: Collection[PollRef]) -> list[PollState]:
    ids, codes = ids_and_codes(refs)
    given: list[list[str]] = [[one.hex for one in ids], codes]
    is_json = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute(sql, [json.dumps(one) for one in given] if is_json else given)
        rows = cursor.fetchall()
    return [_state_of_row(row) for row in rows]


def _state_of_row(row: Sequence[Any]) -> PollState:
    values = list(row)
    for place, column, converters in _converters():
        for convert in converters:
            values[place] = convert(values[place], column, connection)
    return PollState._make(values)


@cache
def _converters() -> list[tuple[int, Col, list[Callable[..., Any]]]]:
    """What the ORM makes of the columns of a state that the driver gives in another form."""
    found = []
    fields = {field.attname: field for field in Poll._meta.concrete_fields}
    for place, name in enumerate(PollState._fields):
        column = Col("polls_poll", fields[name])
        converters = [
            *connection.ops.get_db_converters(column), *column.get_db_converters(connection),
        ]  # fmt: skip
        if converters:
            found.append((place, column, converters))
    return found


_KNOWN = json_table("known", id="uuid", epoch="integer", version="bigint", revision="integer")
_GET_CHANGES = f"""SELECT known.id, {", ".join(f"poll.{name}" for name in PollState._fields)}
    FROM {_KNOWN} LEFT JOIN polls_poll AS poll ON poll.id = known.id
    WHERE poll.id IS NULL OR (poll.epoch, poll.version, poll.revision)
        != (known.epoch, known.version, known.revision)"""  # noqa: S608 (names of columns)


def get_changes(known: Iterable[PollState]) -> tuple[list[PollState], list[UUID]]:
    """Of polls that are known as they were: the states of those that differ, and the ids of those
    that are gone. One query, and one row for each of them."""
    given = orjson.dumps([(one.id.hex, *one.order) for one in known]).decode()
    with connection.cursor() as cursor:
        cursor.execute(_GET_CHANGES, [given])
        rows = cursor.fetchall()
    states = [_state_of_row(row[1:]) for row in rows if row[1] is not None]
    return states, [UUID(str(row[0])) for row in rows if row[1] is None]


# The id as text: `parse_ref` keeps the UUIDs that it made, which costs less than making them anew.
_FETCH_STATES = f"""SELECT id::text, {", ".join(PollState._fields[1:])} FROM polls_poll
    WHERE id = ANY ($1::uuid[]) OR code = ANY ($2::text[])"""  # noqa: S608 (names of columns)


async def fetch_states(
    loop_connection: AsyncConnection, refs: Iterable[PollRef]
) -> list[PollState]:
    """The states of those polls that exist, on a connection of the event loop's own."""
    rows = await loop_connection.fetch(_FETCH_STATES, *ids_and_codes(refs))
    return [PollState(parse_ref(row[0]), *row[1:]) for row in rows]  # type: ignore[arg-type]


def by_ref(states: Iterable[PollState]) -> dict[PollRef, PollState]:
    """States by id and by join code."""
    return {ref: state for state in states for ref in (state.id, state.code)}


def get_all_details(refs: Collection[PollRef]) -> list[PollDetails]:
    """Details of those polls that exist. Two queries."""
    return details_of(Poll.objects.filter(polls_named(refs)))


def details_of(polls: "QuerySet[Poll] | list[Poll]") -> list[PollDetails]:
    """Details of these polls, in their order. One query, and what `polls` itself costs; one more
    where a poll has no options. A poll that is deleted between the two is left out, instead of
    shown without options.
    """
    found = list(polls)
    texts: dict[UUID, list[tuple[int, str]]] = {poll.id: [] for poll in found}
    options = Option.objects.filter(poll_id__in=texts, is_retired=False)
    for poll_id, number, text in options.order_by("position").values_list(
        "poll_id", "number", "text"
    ):
        texts[poll_id].append((number, text))
    if bare := [poll_id for poll_id, options_of in texts.items() if not options_of]:
        there = set(Poll.objects.filter(id__in=bare).values_list("id", flat=True))
        found = [poll for poll in found if texts[poll.id] or poll.id in there]
    return [details_with(poll, texts[poll.id]) for poll in found]


def details_with(poll: Poll, options: Iterable[tuple[int, str]]) -> PollDetails:
    """Details of a poll of which number and text of the options are known. No query."""
    return PollDetails(
        state=state_of(poll),
        options=tuple(options),
        **{name: getattr(poll, name) for name in _DETAIL_FIELDS},
    )


def state_of(poll: Poll) -> PollState:
    return PollState(*(getattr(poll, name) for name in PollState._fields))


def get_details(ref: str) -> PollDetails:
    """Details of one poll, by id or join code. Two queries.

    Raises:
        PollNotFound: no such poll, or no such form of a reference.
    """
    parsed = parse_ref(ref)
    found = get_all_details([parsed]) if parsed else []
    if not found:
        raise PollNotFound
    return found[0]


def listed_polls(
    *, status: Status | None = None, query: str = "", account_id: int | None = None
) -> QuerySet[Poll]:
    """Polls that their owners list, filtered by status now and words of the question.

    Drafts are their owner's alone, also those that the clock has closed since.

    Args:
        account_id: who asks; of drafts, those of this account are found.
    """
    own = Q(owner_id=account_id) if account_id is not None else Q(pk__in=[])
    polls = Poll.objects.filter(listed=True)
    if query:
        polls = polls.filter(question__icontains=query)
    if status is None:
        return polls.filter(is_draft=False)
    drafts = Q(is_draft=False) | own
    return polls.filter(_has_status(status, timezone.now()), drafts)


def _has_status(status: Status, now: datetime) -> Q:
    """`PollState.status_at` as a filter."""
    closed = Q(closed_at__isnull=False) | Q(closes_at__lte=now)
    scheduled = Q(opens_at__gt=now)
    paused = Q(paused_at__isnull=False)
    if status == Status.CLOSED:
        return closed
    if status == Status.DRAFT:
        return ~closed & Q(is_draft=True)
    running = ~closed & Q(is_draft=False)
    if status == Status.SCHEDULED:
        return running & scheduled
    return running & ~scheduled & (paused if status == Status.PAUSED else ~paused)


def get_poll(ref: str) -> Poll:
    """One poll by id or join code.

    Raises:
        PollNotFound: no such poll.
    """
    parsed = parse_ref(ref)
    poll = Poll.objects.filter(polls_named([parsed])).first() if parsed else None
    if poll is None:
        raise PollNotFound
    return poll


def vote_moments(state: PollState) -> list[tuple[int, datetime]]:
    """When the tally came to some 80 of its versions, evenly apart, first and last among them.

    `seq` counts vote events without gaps, so the rows are named by their primary key and
    no more of them are read, however many votes there are. One query.
    """
    steps = min(state.version, _TIMELINE_POINTS)
    if steps < 2:
        seqs = set(range(1, steps + 1))
    else:
        seqs = {1 + n * (state.version - 1) // (steps - 1) for n in range(steps)}
    votes = Vote.objects.filter(poll_id=state.id, epoch=state.epoch, seq__in=seqs)
    return list(votes.order_by("seq").values_list("seq", "cast_at"))


def lock_poll(poll_id: UUID) -> Poll:
    """The poll, locked until the transaction ends: no vote is recorded meanwhile.

    Raises:
        PollNotFound: it is gone.
    """
    try:
        return Poll.objects.select_for_update().get(id=poll_id)
    except Poll.DoesNotExist:
        raise PollNotFound from None
