"""Many callers, one query: items are answered in batches.

What gathers while a batch is under way shares the next one. On PostgreSQL an event loop gets a lane
once it has asked a few times, which answers what it can on a connection of the loop's own; one
thread answers what a lane leaves, and everything else. When `capacity` items wait, a further one
is refused at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic

import asyncpg
from django.db import connection

from polls import draining
from polls.database.async_connection import AsyncConnection
from polls.database.batch_worker import BatchWorker, Work
from polls.database.pending import Answer, Item, Pending, unchanged
from polls.errors import Overloaded

logger = logging.getLogger(__name__)

# Asked once: on an event loop every task would make a connection object to look at it.
_IS_POSTGRESQL = connection.vendor == "postgresql"
_FULL = "Too much waits; nothing was recorded. Try again."
Batch = list[Pending[Item, Answer]]
# Answers what it can of a batch, and returns the rest.
LaneWork = Callable[[AsyncConnection, Batch[Item, Answer]], Awaitable[Batch[Item, Answer]]]


class Batches(Generic[Item, Answer]):
    """Answers items from event loops and threads.

    Args:
        name: of the worker thread.
        work: of the worker thread: one answer (or exception) an item; must not raise.
        make_lane_work: makes the coroutine function of a new lane, which is called with its
            connection and a batch; it answers what it can and returns the rest.
        capacity: how many items may wait.
        batch_size: how many items a batch has at most.
        on_full: called for each refusal.
    """

    def __init__(
        self,
        name: str,
        work: Work[Item, Answer],
        make_lane_work: Callable[[], LaneWork[Item, Answer]],
        *,
        capacity: int,
        batch_size: int,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        self.capacity = capacity
        self._make_lane_work = make_lane_work
        self._batch_size = batch_size
        self._on_full = on_full
        self._worker = BatchWorker(name, work, batch_size=batch_size)
        # Each time a new dict: other threads count what waits.
        self._lanes: dict[asyncio.AbstractEventLoop, AsyncLane[Item, Answer]] = {}

    def __len__(self) -> int:
        """How many items wait for a batch."""
        waiting = len(self._worker)
        for lane in self._lanes.values():
            waiting += len(lane)
        return waiting

    def ask(
        self, item: Item, convert: Callable[[Answer], Any] = unchanged, *, by_lane: bool = True
    ) -> "asyncio.Future[Any]":
        """What `convert` makes of the answer, to be awaited on the running event loop.

        Raises (when awaited):
            Overloaded: too many items wait; nothing was done.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if len(self) >= self.capacity:
            self._on_full()
            future.set_exception(Overloaded(_FULL))
            return future
        pending = Pending(item, future, convert)
        may_use_lane = by_lane and _IS_POSTGRESQL and not draining.is_draining()
        if not (may_use_lane and self._lane(loop).put(pending)):
            self._worker.gather(pending)
        return future

    def ask_sync(self, item: Item) -> Answer:
        """The same from a thread without an event loop, which waits; raises what `work` answers."""
        if len(self) >= self.capacity:
            self._on_full()
            raise Overloaded(_FULL)
        future: Future[Answer] = Future()
        self._worker.put([Pending(item, future, unchanged)])
        return future.result()

    def has_lane(self) -> bool:
        """Whether the running event loop has a lane with a connection, as of now."""
        lane = self._lanes.get(asyncio.get_running_loop())
        return lane is not None and lane.connection.ready_or_connect()

    def close_lane(self) -> None:
        """End the running event loop's lane; the thread answers what it was asked."""
        self._close(asyncio.get_running_loop())

    def stop(self) -> None:
        """Answer all that waits and end; to be called when nothing is asked any more."""
        for loop in self._lanes:
            self._close(loop)
        self._worker.stop()

    def _lane(self, loop: asyncio.AbstractEventLoop) -> "AsyncLane[Item, Answer]":
        lane = self._lanes.get(loop)
        if lane is None:
            for other in [one for one in self._lanes if one.is_closed()]:
                self._close(other)
            lane = AsyncLane(
                loop, self._make_lane_work(), batch_size=self._batch_size, leave=self._worker.put
            )
            self._lanes = {**self._lanes, loop: lane}
        return lane

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        lane = self._lanes.get(loop)
        self._lanes = {one: kept for one, kept in self._lanes.items() if one is not loop}
        if lane is not None:
            lane.close()


class AsyncLane(Generic[Item, Answer]):
    """At most one batch under way. All methods on its event loop.

    Args:
        leave: takes over what the lane does not answer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: LaneWork[Item, Answer],
        *,
        batch_size: int,
        leave: Callable[[Sequence[Pending[Item, Answer]]], None],
    ) -> None:
        self._loop = loop
        self._work = work
        self._batch_size = batch_size
        self._leave = leave
        self.connection = AsyncConnection(loop)
        self._gathered: Batch[Item, Answer] = []
        self._batch: Batch[Item, Answer] = []  # under way
        self._running: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many wait for the next batch."""
        return len(self._gathered)

    def put(self, pending: Pending[Item, Answer]) -> bool:
        """Take this for the batch that begins when this turn of the event loop is over, or the
        one after; False while there is no connection."""
        if not self.connection.ready_or_connect():
            return False
        self._gathered.append(pending)
        if self._running is None:
            self._running = self._loop.create_task(self._run())
        return True

    def close(self) -> None:
        """End the connection; what waits or is under way goes to `leave`."""
        self.connection.close()
        left = self._batch + self._gathered
        self._batch, self._gathered = [], []
        if left:
            self._leave(left)

    async def _run(self) -> None:
        try:
            while self._gathered:
                batch = self._batch = self._gathered[: self._batch_size]
                del self._gathered[: self._batch_size]
                left = await self._work(self.connection, batch)
                if self._batch is not batch:  # closed meanwhile, and all of it was left
                    return
                self._batch = []
                if left:
                    self._leave(left)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            logger.info("left to the thread for now: %r", error)
            self.close()
        except Exception:
            logger.exception("a batch breaks something of ours, and is left to the thread")
            self.close()
        except BaseException:  # cancelled: no caller may wait for ever
            self.close()
            raise
        finally:
            self._running = None
