"""Results as bytes, kept in Redis (or in process) until a vote makes them stale.

An entry carries the poll's order (epoch, version, revision) it was made at, and is used
only for a reader who has just seen that very order in the database. So a vote makes it
stale by raising the version, and no failure of the cache can show an old tally. A cache
that does not answer is left alone for a while; results are then made anew.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.core.cache import cache

from polls.results.results_json import results_of
from polls.rules.poll import PollState, Status
from polls.rules.times import iso

logger = logging.getLogger(__name__)

_TTL_SECONDS = 3600
_REST_SECONDS = 5
_KEPT_IN_PROCESS = 2_000

Entry = tuple[tuple[int, int, int], str, bytes]


class ResultsCache:
    """Encoded results by poll: in this process first, then in the shared cache.

    The shared one is asked by `encoded` alone, which blocks for a round trip.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[UUID, Entry] = OrderedDict()
        self._resting_until = 0.0

    def encoded(
        self,
        states: Collection[tuple[PollState, Status]],
        counted: Callable[[PollState], Mapping[str, Any]],
    ) -> dict[UUID, bytes]:
        """Results of these polls as JSON objects without `as_of`.

        Args:
            counted: what kinds that need ballots add; called for results that are in no cache.
        """
        found = {state.id: entry for state, status in states if (entry := self._own(state, status))}
        missing = [(state, status) for state, status in states if state.id not in found]
        if missing:
            shared = self._shared([state.id for state, _ in missing])
            made: dict[UUID, Entry] = {}
            for state, status in missing:
                entry = shared.get(state.id)
                if entry is None or entry[:2] != (state.order, status.value):
                    body = orjson.dumps(results_of(state, status, counted(state)))
                    entry = made[state.id] = (state.order, status.value, body)
                found[state.id] = self._keep(state.id, entry)
            self._share(made)
        return {poll_id: entry[2] for poll_id, entry in found.items()}

    def held(self, state: PollState, status: Status) -> bytes | None:
        """The results of one poll, where this process has them."""
        entry = self._own(state, status)
        return entry and entry[2]

    def _own(self, state: PollState, status: Status) -> Entry | None:
        entry = self._entries.get(state.id)
        if entry is not None and entry[0] == state.order and entry[1] == status.value:
            return entry
        return None

    def _keep(self, poll_id: UUID, entry: Entry) -> Entry:
        self._entries[poll_id] = entry
        self._entries.move_to_end(poll_id)
        if len(self._entries) > _KEPT_IN_PROCESS:
            self._entries.popitem(last=False)
        return entry

    def _shared(self, poll_ids: list[UUID]) -> dict[UUID, Entry]:
        if not self._may_ask():
            return {}
        try:
            entries = cache.get_many([_key(poll_id) for poll_id in poll_ids])
        except Exception as error:
            self._rest(error)
            return {}
        return {
            poll_id: entry
            for poll_id in poll_ids
            if (entry := _read_entry(entries.get(_key(poll_id)))) is not None
        }

    def _share(self, made: dict[UUID, Entry]) -> None:
        if not made or not self._may_ask():
            return
        try:
            written = {_key(poll_id): _write_entry(entry) for poll_id, entry in made.items()}
            cache.set_many(written, _TTL_SECONDS)
        except Exception as error:
            self._rest(error)

    def _may_ask(self) -> bool:
        return time.monotonic() >= self._resting_until

    def _rest(self, error: Exception) -> None:
        logger.warning("the results cache does not answer: %s", error)
        self._resting_until = time.monotonic() + _REST_SECONDS


def with_as_of(results: bytes, now: datetime) -> bytes:
    """Encoded results with the time at which they were read."""
    return b'%b,"as_of":"%b"}' % (results[:-1], str(iso(now)).encode())


def _key(poll_id: UUID) -> str:
    return f"results:{poll_id.hex}"


def _write_entry(entry: Entry) -> list[Any]:
    order, status, body = entry
    return [order, status, body.decode()]  # in what JSON has


def _read_entry(written: Any) -> Entry | None:
    match written:
        case [[int(epoch), int(version), int(revision)], str(status), str(body)]:
            return (epoch, version, revision), status, body.encode()
    return None
