"""The reader: requests for a poll's state that arrive together share one query.

Each query begins after its requests came, so no reading is older than a vote that any process had
acknowledged by then. Polls that the clock has closed are sealed first, so `final` is final. On
PostgreSQL an event loop with a connection of its own reads plain results itself.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection

from polls import errors, selectors, services
from polls.database.async_connection import AsyncConnection
from polls.database.batches import Batches
from polls.database.outages import is_outage
from polls.database.pending import Pending, settle
from polls.identity.voter_codes import unknown_codes
from polls.identity.voters import Identity, caster_key, voter_key
from polls.refs import PollRef
from polls.results.ballot_counts import BallotCounts
from polls.results.cache import ResultsCache
from polls.results.changes import Changes, WatchedPolls, compare
from polls.rules.poll import PollState, Status, VoterPolicy
from polls.selectors import PollDetails
from polls.voting import sql
from polls.voting.vote import StoredVote, Voter

logger = logging.getLogger(__name__)

_CAPACITY = 50_000
_BATCH_SIZE = 2_000


class PollQuery(NamedTuple):
    """What is asked of a poll.

    Args:
        details: also what the poll says, not only its tally and state.
        results: also its results as JSON.
        identity: also whether this voter has voted.
    """

    ref: PollRef
    details: bool = False
    results: bool = False
    identity: Identity | None = None


class Reading(NamedTuple):
    """A poll as it was at one moment; what was not asked for is None.

    `results` is the JSON object of `results_json.results_of`, as bytes, and `tag` its ETag: the
    version and all else that changes the body. `is_unknown_code`: the identity brought a voter code
    that is none of the poll's.
    """

    state: PollState
    status: Status
    results: bytes | None = None
    details: PollDetails | None = None
    vote: StoredVote | None = None
    tag: bytes | None = None
    is_unknown_code: bool = False


_ballot_counts = BallotCounts()
_results_cache = ResultsCache()


def read_polls(queries: Sequence[PollQuery]) -> list[Reading | BaseException]:
    """Answer all of these with one query, and one or two more for each kind of extra.

    Returns:
        A Reading each, or PollNotFound, in the same order.
    """
    now = datetime.now(UTC)
    asked = set(queries)
    states = _sealed_states({query.ref for query in asked}, now)
    shown = {states[one.ref].id: states[one.ref] for one in asked
             if one.results and one.ref in states}  # fmt: skip
    results = _results_cache.encoded(
        [(state, state.status_at(now)) for state in shown.values()], _ballot_counts.results_at
    )
    wanted = {states[one.ref].id for one in asked if one.details and one.ref in states}
    details = {one.state.id: one for one in selectors.get_all_details(wanted)} if wanted else {}
    votes = _current_votes([one for one in asked if one.identity is not None], states)
    unknown = _with_unknown_codes([one for one in asked if one not in votes], states)
    readings = {
        one: Reading(
            state,
            state.status_at(now),
            results.get(state.id) if one.results else None,
            details.get(state.id) if one.details else None,
            votes.get(one),
            _tag_of(state, state.status_at(now)) if one.results else None,
            one in unknown,
        )
        for one in asked
        if (state := states.get(one.ref))
        and (not one.details or state.id in details)  # else it was deleted meanwhile
    }
    return [readings.get(query) or errors.PollNotFound() for query in queries]


def _tag_of(state: PollState, status: Status) -> bytes:
    return f'"{state.epoch}-{state.version}-{state.revision}-{status.value}"'.encode()


def _at_hand(state: PollState, now: datetime) -> Reading | None:
    """A state just read, with its results; None where it is to be sealed first, and where this
    process has not its results. No I/O."""
    status = state.status_at(now)
    results = _results_cache.held(state, status)
    if results is None or state.needs_sealing(now):
        return None
    return Reading(state, status, results, tag=_tag_of(state, status))


def _sealed_states(refs: set[PollRef], now: datetime) -> dict[PollRef, PollState]:
    found = selectors.get_states(refs)
    if due := [state.id for state in found if state.needs_sealing(now)]:
        services.seal_polls(due, now)
        found = selectors.get_states(refs)
    return selectors.by_ref(found)


def _current_votes(
    queries: Sequence[PollQuery], states: Mapping[PollRef, PollState]
) -> dict[PollQuery, StoredVote]:
    """The votes that count of those voters who have one and have cast it."""
    voters: dict[PollQuery, Voter] = {}
    for query in queries:
        state = states.get(query.ref)
        if state is not None and query.identity is not None:
            with suppress(errors.PollError):  # not a voter of this poll
                key = voter_key(state, query.identity)
                caster = caster_key(state, key, query.identity)
                voters[query] = Voter(state.id, state.epoch, key, caster)
    votes = sql.current_votes([*voters.values()])
    return {
        query: vote
        for query, one in voters.items()
        if (vote := votes.get(one.key)) is not None and vote.is_of(one)
    }


def _with_unknown_codes(
    queries: Sequence[PollQuery], states: Mapping[PollRef, PollState]
) -> set[PollQuery]:
    """Those of these queries whose voter code is none of their poll's, or revoked."""
    codes: dict[PollQuery, tuple[PollState, str]] = {}
    for query in queries:
        state = states.get(query.ref)
        code = query.identity.voter_code if query.identity is not None else None
        if state is not None and code and state.voter_policy == VoterPolicy.CODE:
            codes[query] = state, code
    return unknown_codes(codes)


def _read_or_heal(queries: Sequence[PollQuery]) -> Sequence[Reading | BaseException]:
    for _ in range(2):
        try:
            return read_polls(queries)
        except Exception as error:
            if is_outage(error):
                logger.info("reading again after: %s", error)
                connection.close()
                continue
            if len(queries) == 1:
                logger.exception("a poll cannot be read")
                return [error]
            half = len(queries) // 2  # its neighbours can
            return [*_read_or_heal(queries[:half]), *_read_or_heal(queries[half:])]
    return [errors.Overloaded("The database is away; try again.") for _ in queries]


def _answer(questions: Sequence[PollQuery | WatchedPolls]) -> Sequence[Any]:
    """Queries share what they cost; each comparison is a query of its own."""
    queries = [one for one in questions if isinstance(one, PollQuery)]
    readings = iter(_read_or_heal(queries) if queries else ())
    return [next(readings) if isinstance(one, PollQuery) else compare(one) for one in questions]


async def _answer_at_hand(
    loop_connection: AsyncConnection, batch: list[Pending[Any, Any]]
) -> list[Pending[Any, Any]]:
    """Answer what needs no further query; returns the rest. One query."""
    refs = {pending.item.ref for pending in batch}
    states = selectors.by_ref(await selectors.fetch_states(loop_connection, refs))
    now = datetime.now(UTC)
    answers = {
        ref: _at_hand(states[ref], now) if ref in states else errors.PollNotFound() for ref in refs
    }
    settle((one, answer) for one in batch if (answer := answers[one.item.ref]) is not None)
    return [one for one in batch if answers[one.item.ref] is None]


class Reader(Batches[PollQuery | WatchedPolls, Any]):
    """Reads polls for event loops and threads."""

    def __init__(self, *, capacity: int, batch_size: int) -> None:
        super().__init__(
            "reader", _answer, lambda: _answer_at_hand,
            capacity=capacity, batch_size=batch_size,
        )  # fmt: skip

    def read(self, query: PollQuery) -> "asyncio.Future[Reading]":
        """To be awaited on the running event loop.

        Raises (when awaited):
            PollNotFound, Overloaded
        """
        return self.ask(query, by_loop=query == PollQuery(query.ref, results=True))

    def read_changes(self, known: Sequence[PollState]) -> "asyncio.Future[Changes]":
        """What differs in the database from these states: one query in the thread, some 5 us a
        poll where nothing does.

        Raises (when awaited):
            Overloaded
        """
        return self.ask(WatchedPolls(known), by_loop=False)


reader = Reader(capacity=_CAPACITY, batch_size=_BATCH_SIZE)
