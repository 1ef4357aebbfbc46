"""The ballot box: group commit. Votes that arrive while a commit is under way share the next one.

An answer means committed. On PostgreSQL an event loop with much to do stores first votes itself
(`fast_lane`); everything else, and whatever goes wrong there, is the committer's. Bounded: when it
is full, a vote is refused at once and nothing is stored.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings

from polls import draining, metrics
from polls.database.batch_worker import BatchWorker, Pending, unchanged
from polls.errors import Overloaded
from polls.voting.committer import commit
from polls.voting.fast_lane import FastLane
from polls.voting.sql import VENDOR
from polls.voting.vote import Cast, Outcome


class BallotBox:
    """Takes votes from event loops and threads.

    Args:
        capacity: how many votes may wait.
        batch_size: how many votes a commit has at most.
        commit: decides and stores a batch: `committer.commit`.
    """

    def __init__(
        self,
        *,
        capacity: int,
        batch_size: int,
        commit: Callable[[Sequence[Cast]], Sequence[Outcome | BaseException]] = commit,
    ) -> None:
        self.capacity = capacity
        self._batch_size = batch_size
        self._committer: BatchWorker[Cast, Outcome] = BatchWorker(
            "committer", commit, capacity=capacity, batch_size=batch_size
        )
        self._lanes: dict[asyncio.AbstractEventLoop, FastLane] = {}

    def __len__(self) -> int:
        """How many votes wait for a commit."""
        waiting = len(self._committer)
        for lane in self._lanes.values():
            waiting += len(lane)
        return waiting

    def cast(
        self, vote: Cast, respond: Callable[[Outcome], Any] = unchanged
    ) -> "asyncio.Future[Any]":
        """What `respond` makes of the vote's outcome, to be awaited on the running event loop.

        Args:
            respond: called for all votes of a commit before any caller goes on.
        Raises (when awaited):
            Overloaded: too many votes wait, or the database is away; nothing was stored.
            ServerError: the vote breaks something of ours.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if len(self) >= self.capacity:
            future.set_exception(_refusal())
            return future
        pending = Pending(vote, future, respond)
        lane = self._lane(loop)
        if lane is None or not lane.put(pending):
            self._committer.gather(pending)
        return future

    def cast_sync(self, vote: Cast) -> Outcome:
        """The same from a thread without an event loop."""
        if len(self) >= self.capacity:
            raise _refusal()
        return self._committer.ask_sync(vote)

    def has_fast_lane(self) -> bool:
        """Whether the running event loop stores first votes itself, as of now."""
        lane = self._lanes.get(asyncio.get_running_loop())
        return lane is not None and lane.is_open()

    def close_fast_lane(self) -> None:
        """End the connection of the running event loop; its votes are the committer's."""
        self._close(asyncio.get_running_loop())

    def stop(self) -> None:
        """Answer all that waits and end; to be called when nothing is cast any more."""
        for loop in self._lanes:
            self._close(loop)
        self._committer.stop()

    def _lane(self, loop: asyncio.AbstractEventLoop) -> FastLane | None:
        if VENDOR != "postgresql" or draining.is_draining():
            return None
        lane = self._lanes.get(loop)  # one that is empty is false
        return self._open(loop) if lane is None else lane

    # Each time a new dict: other threads count what waits.

    def _open(self, loop: asyncio.AbstractEventLoop) -> FastLane:
        for other in self._lanes:
            if other.is_closed():
                self._close(other)
        lane = FastLane(loop, batch_size=self._batch_size, leave=self._committer.take_over)
        self._lanes = {**self._lanes, loop: lane}
        return lane

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        lane = self._lanes.get(loop)
        self._lanes = {one: kept for one, kept in self._lanes.items() if one is not loop}
        if lane is not None:
            lane.close()


def _refusal() -> Overloaded:
    metrics.count_outcomes([Overloaded.code])
    return Overloaded()


ballot_box = BallotBox(capacity=settings.BALLOT_BOX_CAPACITY, batch_size=settings.BALLOT_BOX_BATCH)
metrics.WAITING.set_function(lambda: len(ballot_box))
