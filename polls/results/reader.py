"""The reader: requests for a poll's state that arrive together share one query.

Each query begins after its requests came, so no reading is older than a vote that any process had
acknowledged by then. Polls that the clock has closed are sealed first, so `final` is final. On
PostgreSQL an event loop with a connection of its own reads plain results itself.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from polls import errors, selectors, services
from polls.database.async_connection import AsyncConnection
from polls.database.batches import Batches
from polls.database.healing import answer_each
from polls.database.pending import Pending, settle
from polls.identity.voter_codes import unknown_codes
from polls.identity.voters import Identity
from polls.refs import PollRef
from polls.results.ballot_counts import BallotCounts
from polls.results.cache import ResultsCache
from polls.results.changes import Changes, WatchedPolls
from polls.rules.poll import PollState, Status
from polls.selectors import PollDetails
from polls.voting import sql
from polls.voting.vote import StoredVote, Voter

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
    found = {query: states[query.ref] for query in asked if query.ref in states}
    shown = {state.id: state for query, state in found.items() if query.results}
    results = _results_cache.encoded(
        [(state, state.status_at(now)) for state in shown.values()], _ballot_counts.results_at
    )
    wanted = {state.id for query, state in found.items() if query.details}
    details = {one.state.id: one for one in selectors.get_all_details(wanted)} if wanted else {}
    votes, unknown = _own_votes(found)
    readings = {
        query: Reading(
            state,
            state.status_at(now),
            results.get(state.id) if query.results else None,
            details.get(state.id) if query.details else None,
            votes.get(query),
            _tag_of(state, state.status_at(now)) if query.results else None,
            query in unknown,
        )
        for query, state in found.items()
        if not query.details or state.id in details  # else it was deleted meanwhile
    }
    return [readings.get(query) or errors.PollNotFound() for query in queries]


def _tag_of(state: PollState, status: Status) -> bytes:
    return f'"{state.epoch}-{state.version}-{state.revision}-{status.value}"'.encode()


def _at_hand(state: PollState, now: datetime, *, results: bool) -> Reading | None:
    """A state just read, with its results if they are asked for; None where it is to be sealed
    first, and where this process has not its results. No I/O."""
    status = state.status_at(now)
    if state.needs_sealing(now):
        return None
    if not results:
        return Reading(state, status)
    held = _results_cache.held(state, status)
    return None if held is None else Reading(state, status, held, tag=_tag_of(state, status))


def _sealed_states(refs: set[PollRef], now: datetime) -> dict[PollRef, PollState]:
    found = selectors.get_states(refs)
    if due := [state.id for state in found if state.needs_sealing(now)]:
        services.seal_polls(due, now)
        found = selectors.get_states(refs)
    return selectors.by_ref(found)


def _own_votes(
    found: Mapping[PollQuery, PollState],
) -> tuple[dict[PollQuery, StoredVote], set[PollQuery]]:
    """The votes that count of those voters who have one and have cast it; and the queries whose
    voter code is none of their poll's, or revoked."""
    voters: dict[PollQuery, Voter] = {}
    for query, state in found.items():
        if query.identity is not None:
            with suppress(errors.PollError):  # not a voter of this poll
                voters[query] = Voter.of(state, query.identity)
    current = sql.current_votes([*voters.values()])
    votes = {
        query: vote
        for query, one in voters.items()
        if (vote := current.get(one.key)) is not None and vote.is_of(one)
    }
    unknown = unknown_codes(
        (found[query], one.key) for query, one in voters.items() if query not in votes
    )
    return votes, {query for query, one in voters.items() if one.key in unknown}


def _answer(questions: Sequence[PollQuery | WatchedPolls]) -> list[Any]:
    """Queries share what they cost; each comparison is a query of its own."""
    queries = [one for one in questions if isinstance(one, PollQuery)]
    readings = iter(read_polls(queries) if queries else ())
    return [
        next(readings)
        if isinstance(one, PollQuery)
        else Changes(*selectors.get_changes(one.states))
        for one in questions
    ]


async def _answer_at_hand(
    loop_connection: AsyncConnection, batch: list[Pending[Any, Any]]
) -> list[Pending[Any, Any]]:
    """Answer what needs no further query; returns the rest. One query."""
    queries = {pending.item for pending in batch}  # each look costs a hash of a UUID, in Python
    refs = {query.ref for query in queries}
    states = selectors.by_ref(await selectors.fetch_states(loop_connection, refs))
    now = datetime.now(UTC)
    answers = {
        query: _at_hand(states[query.ref], now, results=query.results)
        if query.ref in states
        else errors.PollNotFound()
        for query in queries
    }
    answered = [(one, answers[one.item]) for one in batch]
    settle((one, answer) for one, answer in answered if answer is not None)
    return [one for one, answer in answered if answer is None]


class Reader(Batches[PollQuery | WatchedPolls, Any]):
    """Reads polls for event loops and threads."""

    def __init__(self, *, capacity: int, batch_size: int) -> None:
        super().__init__(
            "reader", partial(answer_each, _answer), lambda: _answer_at_hand,
            capacity=capacity, batch_size=batch_size,
        )  # fmt: skip

    def read(self, query: PollQuery) -> "asyncio.Future[Reading]":
        """To be awaited on the running event loop.

        Raises (when awaited):
            PollNotFound, Overloaded
        """
        return self.ask(query, by_loop=query.identity is None and not query.details)

    def read_changes(self, known: Sequence[PollState]) -> "asyncio.Future[Changes]":
        """What differs in the database from these states: one query in the thread, some 5 us a
        poll where nothing does.

        Raises (when awaited):
            Overloaded
        """
        return self.ask(WatchedPolls(known), by_loop=False)


reader = Reader(capacity=_CAPACITY, batch_size=_BATCH_SIZE)
