"""Signals for other packages, sent after COMMIT, never before.

Receivers run in the thread that wrote, which may be an event loop's: they must not wait there. They
cannot fail the write: signals go by `send_robust`, and what a receiver raises is logged.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from django.dispatch import Signal

from polls.rules.poll import PollState

logger = logging.getLogger(__name__)

# states: Sequence[PollState], the newest of each poll that a batch of votes changed
tallies_changed = Signal()
# poll_id: UUID, deleted: bool; the owner's acts and edits, and closings by the clock
poll_changed = Signal()


def publish_tallies_changed(states: Sequence[PollState]) -> None:
    _log_failures(tallies_changed.send_robust(sender=None, states=states))


def publish_poll_changed(poll_id: UUID, *, deleted: bool = False) -> None:
    _log_failures(poll_changed.send_robust(sender=None, poll_id=poll_id, deleted=deleted))


def _log_failures(answers: Sequence[tuple[object, object]]) -> None:
    for receiver, answer in answers:
        if isinstance(answer, Exception):
            logger.error("%r failed", receiver, exc_info=answer)
