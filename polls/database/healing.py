"""Work on batches with a database that may be away, and items that may break."""

import logging
from collections.abc import Callable, Sequence

from django.db import connection

from polls import errors
from polls.database.outages import is_outage
from polls.database.pending import Answer, Item

logger = logging.getLogger(__name__)


def answer_each(
    work: Callable[[Sequence[Item]], Sequence[Answer]], items: Sequence[Item]
) -> list[Answer | BaseException]:
    """One answer an item, in their order: what `work` makes of all of them, or the exception to
    answer with: Overloaded, `from` its cause, where the database is away, else ServerError.

    A connection that died is made anew and the work done once more, which must be safe even if it
    was done before. A batch that breaks is tried by halves: no item takes its neighbours down.
    """
    cause: Exception | None = None
    for _ in range(2):
        try:
            return [*work(items)]
        except Exception as error:
            if not is_outage(error):
                logger.exception("a batch of %d failed", len(items))
                if len(items) < 2:
                    return [errors.ServerError() for _ in items]
                half = len(items) // 2
                return [*answer_each(work, items[:half]), *answer_each(work, items[half:])]
            logger.info("once more after: %s", error)
            connection.close()
            cause = error
    logger.warning("the database is away: %s", cause)
    return [_away(cause) for _ in items]


def _away(cause: Exception | None) -> errors.Overloaded:
    error = errors.Overloaded("The database is away; try again.")
    error.__cause__ = cause
    return error
