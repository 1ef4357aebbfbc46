"""What has changed in the database of polls that are shown: one query for all of them."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from polls.rules.poll import PollState


class WatchedPolls(NamedTuple):
    """Polls as they are shown, to be compared with the database."""

    states: Sequence[PollState]


class Changes(NamedTuple):
    """The states, as they are now, of those watched polls that differ; the ids of those that are
    gone."""

    states: list[PollState]
    gone: list[UUID]
