"""Results read by the event loop itself, on a PostgreSQL connection of its own.

Who asks before a query begins is answered from what it reads, as in `reader`. It answers what is
quickly answered, and leaves all else to the reader's thread: polls to be sealed, results that this
process has not at hand, and everything while the connection is away.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from polls import errors, selectors
from polls.database.async_connection import AsyncConnection
from polls.refs import PollRef
from polls.results.reading import Reading, reading_at_hand
from polls.rules.poll import PollState

logger = logging.getLogger(__name__)

ReadingFuture = asyncio.Future[Reading]


class AsyncReader:
    """One connection of the event loop's own, and at most one query under way.

    Args:
        capacity: how many may wait.
        leave: reads a poll's results by the thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        capacity: int,
        leave: Callable[[PollRef], ReadingFuture],
    ) -> None:
        self._loop = loop
        self._connection = AsyncConnection(loop)
        self._capacity = capacity
        self._leave = leave
        self._gathered: dict[PollRef, list[ReadingFuture]] = defaultdict(list)
        self._asked: dict[PollRef, list[ReadingFuture]] = {}  # by the query under way
        self._waiting = 0
        self._running: asyncio.Task[None] | None = None

    def read(self, ref: PollRef) -> ReadingFuture:
        """To be awaited.

        Raises (when awaited):
            PollNotFound, Overloaded
        """
        if not self._connection.is_ready():
            return self._leave(ref)
        future: ReadingFuture = self._loop.create_future()
        if self._waiting >= self._capacity:
            future.set_exception(errors.Overloaded())
            return future
        self._waiting += 1
        self._gathered[ref].append(future)
        if self._running is None:
            self._running = self._loop.create_task(self._run())
        return future

    def is_open(self) -> bool:
        """Whether it has a connection."""
        return self._connection.is_open

    def close(self) -> None:
        """End the connection; the thread answers those who wait."""
        self._connection.close()
        left = [self._asked, self._gathered]
        self._asked, self._gathered, self._waiting = {}, defaultdict(list), 0
        for asked in left:
            for ref, futures in asked.items():
                self._leave_to_thread(ref, futures)

    async def _run(self) -> None:
        try:
            while self._gathered:
                self._asked, self._gathered = self._gathered, defaultdict(list)
                self._waiting = 0
                states = selectors.by_ref(
                    await selectors.fetch_states(self._connection, self._asked)
                )
                asked, self._asked = self._asked, {}
                now = datetime.now(UTC)
                for ref, futures in asked.items():
                    self._answer(ref, futures, states.get(ref), now)
        except Exception as error:
            logger.info("results are read by the thread for now: %r", error)
            self.close()
        finally:
            self._running = None

    def _answer(
        self,
        ref: PollRef,
        futures: list[ReadingFuture],
        state: PollState | None,
        now: datetime,
    ) -> None:
        if state is None:
            for future in futures:
                if not future.done():
                    future.set_exception(errors.PollNotFound())
            return
        reading = None if state.needs_sealing(now) else reading_at_hand(state, now)
        if reading is None:
            self._leave_to_thread(ref, futures)
            return
        for future in futures:
            if not future.done():
                future.set_result(reading)

    def _leave_to_thread(self, ref: PollRef, futures: list[ReadingFuture]) -> None:
        def pass_on(answered: ReadingFuture) -> None:
            error = answered.exception()
            for future in futures:
                if future.done():
                    continue
                if error is None:
                    future.set_result(answered.result())
                else:
                    future.set_exception(error)

        self._leave(ref).add_done_callback(pass_on)
