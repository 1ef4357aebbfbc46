"""Group commit: votes that arrive while a commit is under way share the next one.

An answer means committed. When the database is away every vote is answered `overloaded`
and nothing is stored; one vote that breaks a batch does not take its neighbours down.

A busy event loop commits its votes itself (`loop_box`); everything else, and whatever goes
wrong there, is the thread's.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from polls import draining, metrics
from polls.errors import Overloaded, ServerError
from polls.voting import abandoned
from polls.voting.committer import Cast, Outcome, record_votes
from polls.voting.group_worker import GroupWorker
from polls.voting.loop_box import LoopBox, Waiting

logger = logging.getLogger(__name__)

_SLOW_COMMIT_SECONDS = 0.5


def commit(batch: Sequence[Cast], *, may_retry: bool = True) -> Sequence[Outcome | BaseException]:
    """Record a batch, healing a connection that died since the last one.

    A commit whose answer was lost may have happened; trying again is safe, because a
    voter's vote is counted once and a stored one is answered as repeated.
    """
    started = time.perf_counter()
    try:
        abandoned.end_all()
        outcomes = record_votes(batch)
        _measure(outcomes, time.perf_counter() - started)
        return outcomes
    except (OperationalError, InterfaceError) as error:
        connection.close()
        if may_retry:
            return commit(batch, may_retry=False)
        logger.warning("the database is away: %s", error)
        metrics.count_outcomes([Overloaded.code] * len(batch))
        return [Overloaded("The database is away; try again.") for _ in batch]
    except Exception:
        logger.exception("a batch of %d votes failed", len(batch))
        if len(batch) == 1:
            metrics.count_outcomes([ServerError.code])
            return [ServerError()]
        return [answer for cast in batch for answer in commit([cast])]


def _measure(outcomes: Sequence[Outcome], seconds: float) -> None:
    metrics.BATCH_VOTES.observe(len(outcomes))
    metrics.COMMIT_SECONDS.observe(seconds)
    metrics.count_outcomes(one.error.code if one.error else one.verdict for one in outcomes)
    if seconds > _SLOW_COMMIT_SECONDS:
        logger.warning("a batch of %d votes took %.1f s", len(outcomes), seconds)


class BallotBox(GroupWorker[Cast, Outcome]):
    """The thread, and before it a box on each event loop that has much to commit."""

    _loop_boxes: dict[asyncio.AbstractEventLoop, LoopBox] = {}

    def __len__(self) -> int:
        waiting = self._waiting.qsize() + len(self._gathered)
        for box in self._loop_boxes.values():  # neither super() nor sum(): each vote asks
            waiting += len(box)
        return waiting

    def close_loop_box(self) -> None:
        """Leave the votes of the event loop that runs to the thread, and end its connection."""
        self._close(asyncio.get_running_loop())

    def stop(self) -> None:
        """As the thread's; to be called when no event loop asks any more."""
        for loop in self._loop_boxes:
            self._close(loop)
        super().stop()

    def _gather(self, asked: Waiting, loop: asyncio.AbstractEventLoop) -> None:
        if not draining.is_draining():
            box = self._loop_boxes.get(loop)
            if box is None:
                box = self._open(loop)
            if box.is_ready():
                box.put(asked)
                return
        super()._gather(asked, loop)

    # Each time a new dict: other threads count what waits

    def _open(self, loop: asyncio.AbstractEventLoop) -> LoopBox:
        for other in self._loop_boxes:
            if other.is_closed():
                self._close(other)
        box = LoopBox(
            loop, batch_size=self._round_size, pass_on=self._take_over, on_commit=_measure
        )
        self._loop_boxes = {**self._loop_boxes, loop: box}
        return box

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        box = self._loop_boxes.get(loop)
        self._loop_boxes = {one: box for one, box in self._loop_boxes.items() if one is not loop}
        if box is not None:
            box.close()


ballot_box = BallotBox(
    "ballot-box",
    commit,
    capacity=settings.BALLOT_BOX_CAPACITY,
    round_size=settings.BALLOT_BOX_BATCH,
    on_full=partial(metrics.count_outcomes, [Overloaded.code]),
)
metrics.WAITING.set_function(lambda: len(ballot_box))
