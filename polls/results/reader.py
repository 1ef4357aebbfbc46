"""The reader: requests for a poll's state that arrive together share one query.

Every answer is read from the database after it was asked for, so it is never older than a vote
that was acknowledged before, by whichever process. Polls that the clock has closed are sealed
first, so `final` is final. On PostgreSQL a busy event loop reads results itself (`async_reader`).
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, connection

from polls import draining, errors, selectors, services
from polls.database.batch_worker import BatchWorker
from polls.identity.voters import Identity, voter_key
from polls.refs import PollRef
from polls.results.async_reader import AsyncReader
from polls.results.ranked_counts import RankedCounts
from polls.results.reading import Reading, results_cache, results_tag
from polls.rules.kinds import Kind
from polls.rules.poll import PollState
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


_ranked_counts = RankedCounts()


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
    results = results_cache.encoded(
        [(state, state.status_at(now)) for state in shown.values()], _ranked
    )
    wanted = {states[one.ref].id for one in asked if one.details and one.ref in states}
    details = {one.state.id: one for one in selectors.get_all_details(wanted)} if wanted else {}
    votes = _current_votes([one for one in asked if one.identity is not None], states)
    readings = {
        one: Reading(
            state,
            state.status_at(now),
            results.get(state.id) if one.results else None,
            details.get(state.id) if one.details else None,
            votes.get(one),
            results_tag(state, state.status_at(now)) if one.results else None,
        )
        for one in asked
        if (state := states.get(one.ref))
    }
    return [readings.get(query) or errors.PollNotFound() for query in queries]


def _ranked(state: PollState) -> dict[str, Any] | None:
    return _ranked_counts.result_at(state) if state.kind == Kind.RANKED else None


def _sealed_states(refs: set[PollRef], now: datetime) -> dict[PollRef, PollState]:
    found = selectors.get_states(refs)
    due = [state.id for state in found if state.needs_sealing(now)]
    if due:
        services.seal_polls(due, now)
        found = selectors.get_states(refs)
    return selectors.by_ref(found)


def _current_votes(
    queries: Sequence[PollQuery], states: Mapping[PollRef, PollState]
) -> dict[PollQuery, StoredVote]:
    voters = {
        query: voter for query in queries if (voter := _voter_of(query, states.get(query.ref)))
    }
    votes = sql.current_votes(set(voters.values()))
    return {query: votes[voter] for query, voter in voters.items() if voter in votes}


def _voter_of(query: PollQuery, state: PollState | None) -> Voter | None:
    if query.identity is None or state is None:
        return None
    try:
        key = voter_key(state.id, state.voter_policy, query.identity)
    except errors.PollError:
        return None
    return Voter(state.id, state.epoch, key)


def _read_or_heal(queries: Sequence[PollQuery]) -> Sequence[Reading | BaseException]:
    for _ in range(2):
        try:
            return read_polls(queries)
        except (OperationalError, InterfaceError) as error:
            logger.info("reading again after: %s", error)
            connection.close()
    return [errors.Overloaded("The database is away; try again.") for _ in queries]


class Reader:
    """Answers PollQueries, by one thread; plain results on PostgreSQL by the event loop."""

    def __init__(self, *, capacity: int, batch_size: int) -> None:
        self.worker: BatchWorker[PollQuery, Reading] = BatchWorker(
            "reader", _read_or_heal, capacity=capacity, batch_size=batch_size
        )
        self._async_readers: dict[asyncio.AbstractEventLoop, AsyncReader] = {}

    def read(self, query: PollQuery) -> "asyncio.Future[Reading]":
        """To be awaited on the running event loop.

        Raises (when awaited):
            PollNotFound, Overloaded
        """
        return self.worker.ask(query)

    def read_sync(self, query: PollQuery) -> Reading:
        """The same from a thread without an event loop."""
        return self.worker.ask_sync(query)

    def read_results(self, ref: PollRef) -> "asyncio.Future[Reading]":
        """A poll with its results, the quickest way there is."""
        if sql.VENDOR != "postgresql" or draining.is_draining():
            return self._read_results_in_thread(ref)
        loop = asyncio.get_running_loop()
        found = self._async_readers.get(loop)
        if found is None:
            for other in [one for one in self._async_readers if one.is_closed()]:
                self._async_readers.pop(other).close()
            found = AsyncReader(
                loop, capacity=self.worker.capacity, leave=self._read_results_in_thread
            )
            self._async_readers[loop] = found
        return found.read(ref)

    def close_connection(self) -> None:
        """End the connection of the running event loop; what it was asked the thread answers."""
        found = self._async_readers.pop(asyncio.get_running_loop(), None)
        if found is not None:
            found.close()

    def stop(self) -> None:
        """Answer all that waits and end the thread."""
        self.worker.stop()

    def _read_results_in_thread(self, ref: PollRef) -> "asyncio.Future[Reading]":
        return self.worker.ask(PollQuery(ref, results=True))


reader = Reader(capacity=_CAPACITY, batch_size=_BATCH_SIZE)
