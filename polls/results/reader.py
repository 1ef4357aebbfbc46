"""Group reading: requests for a poll's state that arrive together share one query.

Every answer is read from the database after it was asked for, so it is never older than
a vote that was acknowledged before, by whichever process. Polls that the clock has
closed are sealed first, so `final` is final.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, connection

from polls import errors, selectors, services
from polls.identity.voters import Identity, voter_key
from polls.refs import PollRef
from polls.results.ballot_counts import BallotCounts
from polls.results.cache import ResultsCache
from polls.rules.poll import PollState, Status
from polls.selectors import PollDetails
from polls.voting import vote_store
from polls.voting.group_worker import GroupWorker
from polls.voting.vote_store import StoredVote, VoterIn
from polls.voting.vote_transaction import answer

logger = logging.getLogger(__name__)

_CAPACITY = 50_000
_ROUND_SIZE = 2_000


class Question(NamedTuple):
    """What somebody wants to know of a poll.

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

    `results` is the JSON object of `results.results_of`, as bytes, and `tag` its ETag: the
    version and whatever else changes it.
    """

    state: PollState
    status: Status
    results: bytes | None = None
    details: PollDetails | None = None
    vote: StoredVote | None = None
    tag: bytes | None = None


_ballot_counts = BallotCounts()
_results_cache = ResultsCache()


def read_polls(questions: Sequence[Question]) -> list[Reading | BaseException]:
    """Answer all questions with one query, and one more for each kind of extra.

    Returns:
        A Reading a question, or PollNotFound, in the same order.
    """
    now = datetime.now(UTC)
    asked = set(questions)
    states = _read_sealed({question.ref for question in asked}, now)
    shown = {states[one.ref].id: states[one.ref] for one in asked
             if one.results and one.ref in states}  # fmt: skip
    results = _results_cache.encoded(
        [(state, state.status_at(now)) for state in shown.values()], _ballot_counts.results_at
    )
    wanted = {states[one.ref].id for one in asked if one.details and one.ref in states}
    details = {one.state.id: one for one in selectors.get_all_details(wanted)} if wanted else {}
    votes = _read_votes([one for one in asked if one.identity is not None], states)
    answers = {
        one: Reading(
            state,
            state.status_at(now),
            results.get(state.id) if one.results else None,
            details.get(state.id) if one.details else None,
            votes.get(one),
            _tag_of(state, state.status_at(now)) if one.results else None,
        )
        for one in asked
        if (state := states.get(one.ref))
    }
    return [answers.get(question) or errors.PollNotFound() for question in questions]


def reading_at_hand(state: PollState, now: datetime) -> Reading | None:
    """The reading of a state just read, with results, where this process has those."""
    status = state.status_at(now)
    results = _results_cache.held(state, status)
    if results is None:
        return None
    return Reading(state, status, results, tag=_tag_of(state, status))


def _tag_of(state: PollState, status: Status) -> bytes:
    return f'"{state.epoch}-{state.version}-{state.revision}-{status.value}"'.encode()


def _read_sealed(refs: set[PollRef], now: datetime) -> dict[PollRef, PollState]:
    found = selectors.get_states(refs)
    due = [state.id for state in found if state.needs_sealing(now)]
    if due:
        services.seal_polls(due, now)
        found = selectors.get_states(refs)
    states: dict[PollRef, PollState] = {}
    for state in found:
        states[state.id] = states[state.code] = state
    return states


def _read_votes(
    questions: Sequence[Question], states: dict[PollRef, PollState]
) -> dict[Question, StoredVote]:
    voters = {
        question: voter
        for question in questions
        if (voter := _voter_of(question, states.get(question.ref)))
    }
    found = {
        VoterIn(vote.poll_id, vote.epoch, vote.voter): vote
        for vote in answer(vote_store.current_votes(set(voters.values())))
    }
    return {question: found[voter] for question, voter in voters.items() if voter in found}


def _voter_of(question: Question, state: PollState | None) -> VoterIn | None:
    if question.identity is None or state is None:
        return None
    try:
        key = voter_key(state.id, state.voter_policy, question.identity)
    except errors.PollError:
        return None
    return VoterIn(state.id, state.epoch, key)


def _work(questions: Sequence[Question]) -> Sequence[Reading | BaseException]:
    for _ in range(2):
        try:
            return read_polls(questions)
        except (OperationalError, InterfaceError) as error:
            logger.info("reading again after: %s", error)
            connection.close()
    return [errors.Overloaded("The database is away; try again.") for _ in questions]


reader: GroupWorker[Question, Reading] = GroupWorker(
    "reader", _work, capacity=_CAPACITY, round_size=_ROUND_SIZE
)
