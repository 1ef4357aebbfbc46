"""What has changed in the database of polls that are shown: one query for all of them."""

import logging
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from polls import errors, selectors
from polls.database.outages import is_outage
from polls.rules.poll import PollState

logger = logging.getLogger(__name__)


class WatchedPolls(NamedTuple):
    """Polls as they are shown, to be compared with the database."""

    states: Sequence[PollState]


class Changes(NamedTuple):
    """The states, as they are now, of those watched polls that differ; the ids of those that are
    gone."""

    states: list[PollState]
    gone: list[UUID]


def compare(watched: WatchedPolls) -> Changes | BaseException:
    """What differs, or Overloaded where the database is away. Heals a connection that died."""
    for _ in range(2):
        try:
            return Changes(*selectors.get_changes(watched.states))
        except Exception as error:
            logger.info("comparing again after: %r", error)
            connection.close()
            failure = error
    away = errors.Overloaded("The database is away; try again.")
    return away if is_outage(failure) else failure
