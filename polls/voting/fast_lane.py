"""The fast lane: first votes on PostgreSQL, committed by the event loop, one statement a batch.

Votes that it cannot take (a change, a voter code, a poll that has changed, a conflict, an error)
are left to the committer, which answers a vote that was committed after all as repeated.
"""

import asyncio
import time
from collections.abc import Collection
from datetime import UTC, datetime

import asyncpg

from polls import events, metrics, selectors
from polls.database.async_connection import AsyncConnection
from polls.database.outages import last_write
from polls.database.pending import Pending, settle
from polls.refs import PollRef
from polls.rules.poll import PollState
from polls.voting.first_votes import ADD_FIRST_VOTES, FirstVotes
from polls.voting.vote import Cast, Outcome

# Polls are read again after so long: what is changed by hand in the database raises no revision.
KNOWN_SECONDS = 1.0
_MOST_KNOWN = 5_000  # ids and codes
# After votes that were not stored, so many batches at most go straight to the committer.
MOST_DETOURS = 15

PendingVote = Pending[Cast, Outcome]


class FastLane:
    """Stores first votes of one event loop, by what it knows of their polls."""

    def __init__(self) -> None:
        # With the time.monotonic() until which it is relied on; None where there is no such poll.
        self._known: dict[PollRef, tuple[PollState | None, float]] = {}
        self._detours = self._next_detours = 0

    async def store(
        self, connection: AsyncConnection, batch: list[PendingVote]
    ) -> list[PendingVote]:
        """Commit what are first votes and answer them; returns those that are left.

        Called by `LoopBatches` for each batch. One query, and one more for polls that were not read
        within the last second.

        Raises:
            Exception: nothing is answered; whether it was stored is unknown. The committer gets it.
        """
        if self._detours:
            self._detours -= 1
            return batch
        started = time.perf_counter()
        casts = [pending.item for pending in batch]
        states = await self._look_up(connection, {cast.ref for cast in casts})
        try:
            votes = FirstVotes(casts, states, datetime.now(UTC))
        except Exception:  # a vote that breaks something of ours: the committer finds out which
            return batch
        if not votes:
            return batch
        try:
            rows = await connection.fetch(ADD_FIRST_VOTES, *votes.arguments())
        except asyncpg.IntegrityConstraintViolationError:  # a voter voted at this very moment
            rows = []
        outcomes = votes.outcomes(rows)
        self._back_off(len(votes) - len(outcomes))
        if outcomes:
            settled = [(batch[number], outcome) for number, outcome in outcomes.items()]
            # Later, so that the next batch is on its way first: the database works meanwhile.
            asyncio.get_running_loop().call_soon(_answer, settled, time.perf_counter() - started)
        return [pending for number, pending in enumerate(batch) if number not in outcomes]

    async def _look_up(
        self, connection: AsyncConnection, refs: Collection[PollRef]
    ) -> dict[PollRef, PollState]:
        """The states of those polls that exist; those that were not read lately are read."""
        if len(self._known) > _MOST_KNOWN:
            self.forget()
        now, never = time.monotonic(), (None, 0.0)
        unknown = [ref for ref in refs if self._known.get(ref, never)[1] <= now]
        if unknown:
            read = selectors.by_ref(await selectors.fetch_states(connection, unknown))
            for ref in {*unknown, *read}:
                self._known[ref] = read.get(ref), now + KNOWN_SECONDS
        return {ref: state for ref in refs if (state := self._known[ref][0]) is not None}

    def _back_off(self, not_stored: int) -> None:
        """After votes that were not stored, because a voter had voted or a poll has changed, leave
        some batches to the committer."""
        if not not_stored:
            self._next_detours //= 2
            return
        self._next_detours = min(2 * self._next_detours + 1, MOST_DETOURS)
        self._detours = self._next_detours
        self.forget()

    def forget(self) -> None:
        """Read every poll again before it is relied on."""
        self._known.clear()


def _answer(settled: list[tuple[PendingVote, Outcome]], seconds: float) -> None:
    settle(settled)
    last_write.was_stored()
    outcomes = [outcome for _, outcome in settled]
    states = {id(one.state): one.state for one in outcomes if one.state is not None}
    events.publish_tallies_changed([*states.values()])
    metrics.measure_batch(outcomes, seconds)
