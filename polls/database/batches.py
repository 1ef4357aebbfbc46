"""Many callers, one query: items are answered in batches.

What gathers while a batch is under way shares the next one. On PostgreSQL an event loop that has
asked a few times gets batches and a connection of its own, and answers what it can; one thread
answers what a loop hands over, and everything else. When `capacity` items wait, a further one
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
LoopWork = Callable[[AsyncConnection, Batch[Item, Answer]], Awaitable[Batch[Item, Answer]]]


class Batches(Generic[Item, Answer]):
    """Answers items from event loops and threads.

    Args:
        name: of the worker thread.
        work: of the worker thread: one answer (or exception) an item; must not raise.
        make_loop_work: makes an event loop's coroutine function, which is called with the loop's
            connection and a batch; it answers what it can and returns the rest.
        capacity: how many items may wait.
        batch_size: how many items a batch has at most.
        on_full: called for each refusal.
    """

    def __init__(
        self,
        name: str,
        work: Work[Item, Answer],
        make_loop_work: Callable[[], LoopWork[Item, Answer]],
        *,
        capacity: int,
        batch_size: int,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        self.capacity = capacity
        self._make_loop_work = make_loop_work
        self._batch_size = batch_size
        self._on_full = on_full
        self._worker = BatchWorker(name, work, batch_size=batch_size)
        # Each time a new dict: other threads count what waits.
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopBatches[Item, Answer]] = {}

    def __len__(self) -> int:
        """How many items wait for a batch."""
        waiting = len(self._worker)
        for own in self._by_loop.values():
            waiting += len(own)
        return waiting

    def ask(
        self, item: Item, convert: Callable[[Answer], Any] = unchanged, *, by_loop: bool = True
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
        # Not while draining: a loop's connection is closed by then, and no new one is to be opened.
        may_use_loop = by_loop and _IS_POSTGRESQL and not draining.is_draining()
        if not (may_use_loop and self._of(loop).put(pending)):
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

    def has_loop_connection(self) -> bool:
        """Whether the running event loop has a connection of its own, as of now."""
        own = self._by_loop.get(asyncio.get_running_loop())
        return own is not None and own.connection.ready_or_connect()

    def close_loop_connection(self) -> None:
        """End the running event loop's; the thread answers what it was asked."""
        self._close(asyncio.get_running_loop())

    def stop(self) -> None:
        """Answer all that waits and end; to be called when nothing is asked any more."""
        for loop in self._by_loop:
            self._close(loop)
        self._worker.stop()

    def _of(self, loop: asyncio.AbstractEventLoop) -> "LoopBatches[Item, Answer]":
        own = self._by_loop.get(loop)
        if own is None:
            for other in [one for one in self._by_loop if one.is_closed()]:
                self._close(other)
            own = LoopBatches(loop, self._make_loop_work(), self._batch_size, self._worker.put)
            self._by_loop = {**self._by_loop, loop: own}
        return own

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        own = self._by_loop.get(loop)
        self._by_loop = {one: kept for one, kept in self._by_loop.items() if one is not loop}
        if own is not None:
            own.close()


class LoopBatches(Generic[Item, Answer]):
    """At most one batch under way. All methods on its event loop.

    Args:
        hand_over: takes what these batches do not answer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: LoopWork[Item, Answer],
        batch_size: int,
        hand_over: Callable[[Sequence[Pending[Item, Answer]]], None],
    ) -> None:
        self._loop = loop
        self._work = work
        self._batch_size = batch_size
        self._hand_over = hand_over
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
        """End the connection; what waits or is under way is handed over."""
        self.connection.close()
        rest = self._batch + self._gathered
        self._batch, self._gathered = [], []
        if rest:
            self._hand_over(rest)

    async def _run(self) -> None:
        try:
            while self._gathered:
                batch = self._batch = self._gathered[: self._batch_size]
                del self._gathered[: self._batch_size]
                rest = await self._work(self.connection, batch)
                if self._batch is not batch:  # closed meanwhile, and all of it handed over
                    return
                self._batch = []
                if rest:
                    self._hand_over(rest)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            logger.info("left to the thread for now: %r", error)
        except Exception:
            logger.exception("a batch breaks something of ours, and is left to the thread")
        finally:
            self._running = None
            if self._batch:  # failed, or cancelled: no caller may wait for ever
                self.close()
