"""What each poll was when this process last saw it under its lock: a guess at what it is now."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from polls.refs import PollRef
from polls.rules.kinds import kind_of
from polls.rules.poll import PollState, VoterPolicy

# What is changed past livepoll, by hand in the database, raises no revision: it is seen when a
# poll is locked again.
_TRUSTED_SECONDS = 1.0
_MOST_KNOWN = 5_000  # ids and codes


class Known(NamedTuple):
    """A poll as it was.

    Until `trusted_until`, on the clock of `time.monotonic`, all but its totals may be taken for
    true as long as its epoch and revision are these; 0 where that is not enough to decide by.
    """

    state: PollState
    trusted_until: float


_known: dict[PollRef, Known] = {}


def note(states: Sequence[PollState]) -> None:
    """These polls are under their locks, and this is how they are."""
    until = time.monotonic() + _TRUSTED_SECONDS
    for state in states:
        if len(_known) >= _MOST_KNOWN and state.id not in _known:
            _known.clear()
        known = Known(state, until if _goes_by_rules(state) else 0.0)
        _known[state.id] = _known[state.code] = known


def find(ref: PollRef) -> Known | None:
    return _known.get(ref)


def _goes_by_rules(state: PollState) -> bool:
    """Not where a code has to be looked up, nor where totals are not one sum an option."""
    return state.voter_policy != VoterPolicy.CODE and kind_of(state.kind).is_sum
