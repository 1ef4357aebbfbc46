"""A poll as it was read at one moment, and its results as JSON with their ETag."""

from datetime import datetime
from typing import NamedTuple

from polls.results.cache import ResultsCache
from polls.rules.poll import PollState, Status
from polls.selectors import PollDetails
from polls.voting.vote import StoredVote


class Reading(NamedTuple):
    """A poll as it was at one moment; what was not asked for is None.

    `results` is the JSON object of `results_json.results_of`, as bytes, and `tag` its ETag: the
    version and whatever else changes it.
    """

    state: PollState
    status: Status
    results: bytes | None = None
    details: PollDetails | None = None
    vote: StoredVote | None = None
    tag: bytes | None = None


results_cache = ResultsCache()


def results_tag(state: PollState, status: Status) -> bytes:
    return f'"{state.epoch}-{state.version}-{state.revision}-{status.value}"'.encode()


def reading_at_hand(state: PollState, now: datetime) -> Reading | None:
    """A state just read, with results, where this process has those. No I/O."""
    status = state.status_at(now)
    results = results_cache.held(state, status)
    if results is None:
        return None
    return Reading(state, status, results, tag=results_tag(state, status))
