"""The ballot box: group commit. Votes that arrive while a commit is under way share the next one.

An answer means committed. On PostgreSQL an event loop with a connection of its own stores first
votes itself (`fast_lane`); everything else, and every failure there, is the committer's.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.conf import settings

from polls import metrics
from polls.database.batches import Batches
from polls.database.pending import unchanged
from polls.errors import Overloaded
from polls.voting import committer
from polls.voting.fast_lane import FastLane
from polls.voting.vote import Cast, Outcome


class BallotBox(Batches[Cast, Outcome]):
    """Takes votes from event loops and threads.

    Args:
        store: decides and stores any batch; not the committer's in tests alone.
    """

    def __init__(
        self,
        *,
        capacity: int,
        batch_size: int,
        store: Callable[[Sequence[Cast]], Sequence[Outcome | BaseException]] = committer.store,
    ) -> None:
        super().__init__(
            "committer", store, lambda: FastLane().store,
            capacity=capacity, batch_size=batch_size,
            on_full=partial(metrics.count_outcomes, [Overloaded.code]),
        )  # fmt: skip

    def cast(
        self, vote: Cast, convert: Callable[[Outcome], Any] = unchanged
    ) -> "asyncio.Future[Any]":
        """What `convert` makes of the vote's outcome, to be awaited on the running event loop.

        Raises (when awaited):
            Overloaded: too many votes wait, and nothing was stored; or the database is away, and
                then that is not known: a retry gets the first answer.
            ServerError: the vote breaks something of ours.
            Exception: what `convert` raises. A refusal is not raised: it is `Outcome.error`.
        """
        return self.ask(vote, convert)


ballot_box = BallotBox(capacity=settings.BALLOT_BOX_CAPACITY, batch_size=settings.BALLOT_BOX_BATCH)
metrics.WAITING.set_function(lambda: len(ballot_box))
