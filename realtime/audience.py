"""How many sockets watch each poll: in this process, and by what the other processes publish.

With each beat a process publishes one message, however many polls it shows: its counts that
changed since the one before. Messages are numbered. A process that misses one asks for all counts,
and gets them with the next beat; one that was not known before is sent all without asking, since it
may be new.
No I/O and no clock here: what comes and goes, and when, is the hub's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from realtime import messages

# 36 bytes each in a message: one of 140 KB at most.
_POLLS_A_MESSAGE = 4_000


@dataclass(slots=True)
class _Process:
    """What is known of another process's sockets, by its messages up to this number."""

    number: int = 0
    heard_at: float = 0.0
    is_complete: bool = False
    counts: dict[str, int] = field(default_factory=dict)


class Audience:
    """The sockets of all processes, by poll. One event loop.

    Costs in proportion to what changes; memory, an entry a process for each poll it shows.

    Args:
        hub_id: how this process is called in messages.
    """

    def __init__(self, hub_id: str) -> None:
        self._hub_id = hub_id
        self._here: dict[str, int] = {}
        self._changed: set[str] = set()
        self._number = 0
        self._must_publish_all = True
        self._others: dict[str, _Process] = {}
        self._elsewhere: Counter[str] = Counter()

    def elsewhere(self, poll_id: UUID) -> int:
        """How many sockets of other processes watch the poll, by their last messages."""
        return self._elsewhere.get(poll_id.hex, 0)

    def count_here(self, poll_id: UUID, count: int) -> None:
        """So many sockets of this process watch the poll now."""
        poll = poll_id.hex
        if count:
            self._here[poll] = count
        else:
            self._here.pop(poll, None)
        self._changed.add(poll)

    def next_messages(self) -> Iterator[dict[str, Any]]:
        """What is to be published with this beat: one message, and more only for thousands of
        counts. One that is not sent after all is missed by the others, who then ask."""
        is_all = self._must_publish_all
        polls = list(self._here if is_all else self._changed)
        self._must_publish_all = False
        self._changed.clear()
        asks = [hub for hub, other in self._others.items() if not other.is_complete]
        for start in range(0, max(1, len(polls)), _POLLS_A_MESSAGE):
            part = polls[start : start + _POLLS_A_MESSAGE]
            counts = {poll: self._here.get(poll, 0) for poll in part}
            self._number += 1
            yield messages.watching(
                self._hub_id, self._number, counts, starts_all=is_all and start == 0, asks=asks
            )

    def take(self, message: dict[str, Any], now: float) -> None:
        """Take another process's message, at `now` of a monotonic clock; an own one is ignored."""
        hub, number = message["hub"], message["number"]
        if hub == self._hub_id:
            return
        other = self._others.get(hub)
        if other is None:
            other = self._others[hub] = _Process()
            self._must_publish_all = True
        if message["starts_all"]:
            self._set_counts(other, dict.fromkeys(other.counts, 0).items())
            other.is_complete = True
        elif number != other.number + 1:
            other.is_complete = False
        other.number, other.heard_at = number, now
        self._set_counts(other, message["counts"].items())
        if self._hub_id in message["asks"]:
            self._must_publish_all = True

    def forget_silent(self, since: float) -> None:
        """Stop counting processes that have sent nothing since then."""
        for hub, other in list(self._others.items()):
            if other.heard_at < since:
                self._set_counts(other, dict.fromkeys(other.counts, 0).items())
                del self._others[hub]

    def _set_counts(self, other: _Process, counts: Iterable[tuple[str, int]]) -> None:
        for poll, count in counts:
            rise = count - other.counts.pop(poll, 0)
            if count:
                other.counts[poll] = count
            self._elsewhere[poll] += rise
            if not self._elsewhere[poll]:
                del self._elsewhere[poll]
