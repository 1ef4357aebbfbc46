"""Votes committed on the event loop itself: the ballot box without its thread.

The same promise, and for all but first votes (`first_votes.presume`) the same statements
(`recording.decide_votes`): what gathers while a batch is under way shares the next one. Where a
thread would have to win back the interpreter's lock after each answer of the database, the loop
takes it up in its turn. Whatever goes wrong, the whole batch is left to the thread, which knows
how to heal: a vote that was committed after all is answered as repeated there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from django.db import DatabaseError

from polls import events
from polls.voting.columns import VENDOR
from polls.voting.committer import Cast, Decided, Outcome, decide_votes
from polls.voting.first_votes import Presumed, presume
from polls.voting.group_worker import Asked, settle
from polls.voting.loop_connection import Answer, LoopConnection
from polls.voting.loop_postgresql import LoopPostgresql
from polls.voting.loop_sqlite import LoopSqlite
from polls.voting.statement import Asking, Statement

logger = logging.getLogger(__name__)

_COMMIT = Statement("COMMIT")
_Connection: type[LoopConnection]
if VENDOR == "postgresql":
    _Connection, _BEGIN, _DONE = LoopPostgresql, Statement("BEGIN"), "SELECT"
else:  # which has one lock, for all who write
    _Connection, _BEGIN, _DONE = LoopSqlite, Statement("BEGIN IMMEDIATE"), "COMMIT"
# How many batches are decided under their locks after one that was presumed in vain.
_MOST_CAUTION = 15

Waiting = Asked[Cast, Outcome]


class LoopBox:
    """One connection of the event loop's own, and at most one batch under way.

    Args:
        batch_size: how many votes a batch takes at most.
        pass_on: takes over votes that are to be answered by a thread.
        on_commit: told of each committed batch and how many seconds it took.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        batch_size: int,
        pass_on: Callable[[Sequence[Waiting]], None],
        on_commit: Callable[[Sequence[Outcome], float], None],
    ) -> None:
        self._loop = loop
        self._connection = _Connection(loop, self._fail)
        self._batch_size = batch_size
        self._pass_on = pass_on
        self._on_commit = on_commit
        self._gathered: list[Waiting] = []
        self._batch: list[Waiting] = []  # under way
        self._started = 0.0
        self._caution = self._wary = 0  # batches that are not presumed to be first votes

    def __len__(self) -> int:
        """How many wait for the next batch."""
        return len(self._gathered)

    def is_ready(self) -> bool:
        """Whether it takes votes; when not, it makes itself ready if asked often enough."""
        if not self._connection.is_ready:
            self._connection.prepare()
        return self._connection.is_ready

    def put(self, waiting: Waiting) -> None:
        """Answer this vote with the batch that begins when the loop's turn is over, or later."""
        if not self._gathered and not self._batch:
            self._loop.call_soon(self._begin)
        self._gathered.append(waiting)

    def close(self) -> None:
        """End the connection. Who waits is answered by the thread."""
        self._connection.close()
        waiting = self._batch + self._gathered
        self._batch, self._gathered = [], []
        if waiting:
            self._pass_on(waiting)

    # A batch

    def _begin(self) -> None:
        if self._batch or not self._gathered:
            return
        size = self._batch_size
        self._batch, self._gathered = self._gathered[:size], self._gathered[size:]
        self._started = time.perf_counter()
        try:
            presumed = None if self._wary else presume([cast for cast, _, _ in self._batch])
            self._wary = max(0, self._wary - 1)
            if presumed is None:
                self._lock()
            else:
                end = partial(self._end_presumed, presumed)
                self._connection.run(presumed.statements, end, self._presumed_in_vain)
        except Exception as error:
            self._connection.fail(error)

    def _presumed_in_vain(self) -> None:
        """Decide the batch under the lock, and some of the next, which may be alike, at once."""
        self._caution = min(2 * self._caution + 1, _MOST_CAUTION)
        self._wary = self._caution
        try:
            self._lock()
        except Exception as error:
            self._connection.fail(error)

    def _lock(self) -> None:
        deciding = decide_votes([cast for cast, _, _ in self._batch])
        self._connection.run([_BEGIN, *next(deciding)], partial(self._decide, deciding))

    def _decide(self, deciding: Asking[Decided], answer: Answer) -> None:
        try:
            asked = deciding.send(answer.rows)
        except StopIteration as end:
            decided: Decided = end.value
            self._connection.run([*decided.writes, _COMMIT], partial(self._end, decided))
        else:
            self._connection.run(asked, partial(self._decide, deciding))

    def _end(self, decided: Decided, answer: Answer) -> None:
        if answer.done != "COMMIT":
            raise DatabaseError("A statement had failed unnoticed, so nothing was committed.")
        batch, self._batch = self._batch, []
        self._tell(batch, decided)

    def _end_presumed(self, presumed: Presumed, answer: Answer) -> None:
        if not answer.done.startswith(_DONE):
            raise DatabaseError("A statement had failed unnoticed, so nothing was committed.")
        decided, missed = presumed.decided(answer.rows)
        stored, self._batch = self._batch, [self._batch[number] for number in missed]
        if missed:
            left = set(missed)
            stored = [one for number, one in enumerate(stored) if number not in left]
            self._presumed_in_vain()
        else:
            self._caution //= 2
        if stored:
            self._tell(stored, decided)

    def _tell(self, batch: Sequence[Waiting], decided: Decided) -> None:
        seconds = time.perf_counter() - self._started
        self._begin()  # the database works while this batch is told
        settle(
            (future, finish, one)
            for (_, future, finish), one in zip(batch, decided.outcomes, strict=True)
        )
        if decided.states:
            events.tell_tallies_changed(decided.states)
        self._on_commit(decided.outcomes, seconds)

    def _fail(self, error: Exception) -> None:
        logger.info("votes are committed by the thread for now: %s", error)
        self.close()
