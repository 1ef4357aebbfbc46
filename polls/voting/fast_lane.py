"""The fast lane: first votes on PostgreSQL, committed by the event loop, one statement a batch.

What gathers while a batch is under way shares the next one. Whatever it cannot take (a change, a
voter code, a poll that has changed, a conflict, an error) it leaves to the committer, which
answers a vote that was committed after all as repeated.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import asyncpg

from polls import events, metrics, selectors
from polls.database.async_connection import AsyncConnection
from polls.database.batch_worker import Pending, settle
from polls.refs import PollRef
from polls.rules.poll import PollState
from polls.voting.first_votes import ADD_FIRST_VOTES, FirstVotes
from polls.voting.vote import Cast, Outcome

logger = logging.getLogger(__name__)

# Polls are read again after so long: what is changed by hand in the database raises no revision.
KNOWN_SECONDS = 1.0
_MOST_KNOWN = 5_000  # ids and codes
# After a voter who had voted already, so many batches at most go straight to the committer.
MOST_DETOURS = 15

PendingVote = Pending[Cast, Outcome]


class FastLane:
    """One connection of the event loop's own, and at most one batch under way.

    Args:
        batch_size: how many votes a batch has at most.
        leave: takes over votes for the committer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        batch_size: int,
        leave: Callable[[Sequence[PendingVote]], None],
    ) -> None:
        self._loop = loop
        self._connection = AsyncConnection(loop)
        self._batch_size = batch_size
        self._leave = leave
        self._gathered: list[PendingVote] = []
        self._batch: list[PendingVote] = []  # under way, and not stored yet as far as is known
        self._running: asyncio.Task[None] | None = None
        self._known: dict[PollRef, PollState] = {}
        self._known_until: dict[PollRef, float] = {}
        self._detours = self._next_detours = 0

    def __len__(self) -> int:
        """How many votes wait for the next batch."""
        return len(self._gathered)

    def is_open(self) -> bool:
        """Whether it has a connection."""
        return self._connection.is_open

    def put(self, pending: PendingVote) -> bool:
        """Take a vote for the batch that begins when this turn of the event loop is over, or the
        one after; False while there is no connection."""
        if not self._connection.is_ready():
            return False
        self._gathered.append(pending)
        if self._running is None:
            self._running = self._loop.create_task(self._run())
        return True

    def close(self) -> None:
        """End the connection; the votes that wait are left to the committer."""
        self._connection.close()
        self._leave_all()

    async def _run(self) -> None:
        try:
            while self._gathered:
                self._batch = self._gathered[: self._batch_size]
                del self._gathered[: self._batch_size]
                if self._detours:
                    self._detours -= 1
                else:
                    await self._store(self._batch)
                self._leave_batch()
        except Exception as error:
            logger.info("votes are left to the committer for now: %r", error)
            self.close()
        finally:
            self._running = None

    async def _store(self, batch: Sequence[PendingVote]) -> None:
        """Store those first votes that can be; the others stay in `_batch`."""
        started = time.perf_counter()
        casts = [pending.item for pending in batch]
        await self._look_up({cast.ref for cast in casts})
        votes = FirstVotes(casts, self._known, datetime.now(UTC))
        if not votes.numbers:
            return
        try:
            rows = await self._connection.fetch(ADD_FIRST_VOTES, *votes.arguments())
        except asyncpg.IntegrityConstraintViolationError:  # a voter voted at this very moment
            rows = []
        outcomes = votes.outcomes(rows)
        self._batch = [one for number, one in enumerate(batch) if number not in outcomes]
        if len(outcomes) < len(votes.numbers):
            self._next_detours = min(2 * self._next_detours + 1, MOST_DETOURS)
            self._detours = self._next_detours
            self._forget()
        else:
            self._next_detours //= 2
        # Later, so that the next batch is on its way first: the database works meanwhile.
        self._loop.call_soon(
            self._settle,
            [(batch[number], outcome) for number, outcome in outcomes.items()],
            time.perf_counter() - started,
        )

    def _settle(self, settled: list[tuple[PendingVote, Outcome]], seconds: float) -> None:
        settle(settled)
        outcomes = [outcome for _, outcome in settled]
        states = {id(one.state): one.state for one in outcomes if one.state is not None}
        if states:
            events.publish_tallies_changed([*states.values()])
        metrics.measure_batch(outcomes, seconds)

    async def _look_up(self, refs: set[PollRef]) -> None:
        """Read those polls that are not known, or not lately read. One query, most times none."""
        now, known_until = self._loop.time(), self._known_until
        unknown = [ref for ref in refs if known_until.get(ref, 0.0) <= now]
        if not unknown:
            return
        if len(self._known) > _MOST_KNOWN:
            self._forget()
        for ref in unknown:
            self._known.pop(ref, None)
            known_until[ref] = now + KNOWN_SECONDS
        for state in await selectors.fetch_states(self._connection, unknown):
            for name in (state.id, state.code):
                self._known[name] = state
                known_until[name] = now + KNOWN_SECONDS

    def _forget(self) -> None:
        """Read every poll again before it is relied on."""
        self._known.clear()
        self._known_until.clear()

    def _leave_batch(self) -> None:
        left, self._batch = self._batch, []
        if left:
            self._leave(left)

    def _leave_all(self) -> None:
        left = self._batch + self._gathered
        self._batch, self._gathered = [], []
        if left:
            self._leave(left)
