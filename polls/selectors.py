"""Reads of polls by id, join code or filter; reads of votes stand beside what uses them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from polls.database.async_connection import AsyncConnection
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


def get_states(refs: Collection[PollRef]) -> list[PollState]:
    """The states of those polls that exist, in id order. One query."""
    return _states(Poll.objects.filter(polls_named(refs)))


def lock_states(refs: Collection[PollRef]) -> list[PollState]:
    """The same, each poll locked until the transaction ends, in id order."""
    return _states(Poll.objects.filter(polls_named(refs)).select_for_update())


def _states(polls: "QuerySet[Poll]") -> list[PollState]:
    rows = polls.order_by("id").values_list(*PollState._fields)
    return [PollState._make(row) for row in rows]


# The id as text, which `parse_ref` turns into the very object that a request named the poll by.
_FETCH_STATES = f"""SELECT id::text, {", ".join(PollState._fields[1:])} FROM polls_poll
    WHERE id = ANY ($1::uuid[]) OR code = ANY ($2::text[])"""  # noqa: S608 (names of columns)


async def fetch_states(connection: AsyncConnection, refs: Iterable[PollRef]) -> list[PollState]:
    """The states of those polls that exist, on a connection of the event loop's own."""
    rows = await connection.fetch(_FETCH_STATES, *ids_and_codes(refs))
    return [PollState(parse_ref(row[0]), *row[1:]) for row in rows]  # type: ignore[arg-type]


def by_ref(states: Iterable[PollState]) -> dict[PollRef, PollState]:
    """States by id and by join code."""
    return {ref: state for state in states for ref in (state.id, state.code)}


def get_all_details(refs: Collection[PollRef]) -> list[PollDetails]:
    """Details of those polls that exist. Two queries."""
    return details_of(Poll.objects.filter(polls_named(refs)))


def details_of(polls: "QuerySet[Poll] | list[Poll]") -> list[PollDetails]:
    """Details of these polls, in their order. One query, and what `polls` itself costs."""
    found = list(polls)
    texts: dict[UUID, list[tuple[int, str]]] = {poll.id: [] for poll in found}
    options = Option.objects.filter(poll_id__in=texts, is_retired=False)
    for poll_id, number, text in options.order_by("position").values_list(
        "poll_id", "number", "text"
    ):
        texts[poll_id].append((number, text))
    return [
        PollDetails(
            state=state_of(poll),
            options=tuple(texts[poll.id]),
            **{name: getattr(poll, name) for name in _DETAIL_FIELDS},
        )
        for poll in found
    ]


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
