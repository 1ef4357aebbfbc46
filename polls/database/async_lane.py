"""A lane: what an event loop does itself, in batches, on an AsyncConnection of its own.

What gathers while a batch is under way shares the next one. What a lane cannot take, and all that
it holds when its connection fails, it leaves to others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

from polls.database.async_connection import AsyncConnection
from polls.database.pending import Answer, Item, Pending

logger = logging.getLogger(__name__)

Batch = list[Pending[Item, Answer]]
# Answers what it can of a batch, and returns the rest.
LaneWork = Callable[[AsyncConnection, Batch[Item, Answer]], Awaitable[Batch[Item, Answer]]]
Leave = Callable[[Sequence[Pending[Item, Answer]]], None]


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
        leave: Leave[Item, Answer],
    ) -> None:
        self._loop = loop
        self._work = work
        self._batch_size = batch_size
        self._leave = leave
        self._connection = AsyncConnection(loop)
        self._gathered: Batch[Item, Answer] = []
        self._batch: Batch[Item, Answer] = []  # under way
        self._running: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many wait for the next batch."""
        return len(self._gathered)

    def is_open(self) -> bool:
        """Whether it has a connection."""
        return self._connection.is_open

    def put(self, pending: Pending[Item, Answer]) -> bool:
        """Take this for the batch that begins when this turn of the event loop is over, or the
        one after; False while there is no connection."""
        if not self._connection.is_ready():
            return False
        self._gathered.append(pending)
        if self._running is None:
            self._running = self._loop.create_task(self._run())
        return True

    def close(self) -> None:
        """End the connection; whatever waits or is under way is left."""
        self._connection.close()
        left = self._batch + self._gathered
        self._batch, self._gathered = [], []
        if left:
            self._leave(left)

    async def _run(self) -> None:
        try:
            while self._gathered:
                self._batch = self._gathered[: self._batch_size]
                del self._gathered[: self._batch_size]
                left = await self._work(self._connection, self._batch)
                self._batch = []
                if left:
                    self._leave(left)
        except Exception as error:
            logger.info("left to the thread for now: %r", error)
            self.close()
        finally:
            self._running = None
