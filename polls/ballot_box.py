"""Group commit: votes that arrive while a commit is under way share the next one.

An answer means committed. When the database is away every vote is answered `overloaded`
and nothing is stored; one vote that breaks a batch does not take its neighbours down.
"""

import logging
import time
from collections.abc import Sequence
from functools import partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from polls import metrics
from polls.errors import Overloaded, ServerError
from polls.group_worker import GroupWorker
from polls.recording import Cast, Outcome, record_votes

logger = logging.getLogger(__name__)

_SLOW_COMMIT_SECONDS = 0.5


def commit(batch: Sequence[Cast], *, may_retry: bool = True) -> Sequence[Outcome | BaseException]:
    """Record a batch, healing a connection that died since the last one.

    A commit whose answer was lost may have happened; trying again is safe, because a
    voter's vote is counted once and a stored one is answered as repeated.
    """
    started = time.perf_counter()
    try:
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


ballot_box: GroupWorker[Cast, Outcome] = GroupWorker(
    "ballot-box",
    commit,
    capacity=settings.BALLOT_BOX_CAPACITY,
    round_size=settings.BALLOT_BOX_BATCH,
    on_full=partial(metrics.count_outcomes, [Overloaded.code]),
)
metrics.WAITING.set_function(lambda: len(ballot_box))
