"""Counts of the polls whose results need every ballot, as far as this process shows them.

A count catches up with the record of votes by their `seq`, so each such vote is read once a
process and no tally costs a pass over all ballots. The kind counts
(`rules.kinds.kind.BallotCounter`).
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from polls.models import Vote
from polls.rules.kinds import kind_of
from polls.rules.kinds.kind import BallotCounter
from polls.rules.poll import PollState

_KEPT_COUNTS = 64
_MANY_BALLOTS = 2_000  # from here on counting anew beats bringing remembered results up to date


@dataclass(slots=True)
class _Kept:
    counter: BallotCounter
    kind: str
    options: frozenset[str]
    version: int = 0

    @classmethod
    def empty(cls, state: PollState) -> "_Kept":
        counter = kind_of(state.kind).counter(state)
        return cls(counter, state.kind, frozenset(state.counts))

    def leads_to(self, state: PollState) -> bool:
        """Whether this count can be brought up to date with that state."""
        return (
            self.version <= state.version
            and self.kind == state.kind
            and self.options == state.counts.keys()
        )


class BallotCounts:
    """Counts by poll and epoch; the least recently shown are dropped. Not thread-safe."""

    def __init__(self, kept: int = _KEPT_COUNTS) -> None:
        self._kept = kept
        self._counts: OrderedDict[tuple[UUID, int], _Kept] = OrderedDict()

    def results_at(self, state: PollState) -> dict[str, Any]:
        """What the kind adds to the results at exactly this version; nothing of most kinds.

        Cost: one query over the votes since the last call, two where some were replaced.
        """
        if not kind_of(state.kind).needs_ballots:
            return {}
        key = (state.id, state.epoch)
        kept = self._counts.get(key)
        if kept is None or not kept.leads_to(state):
            kept = self._counts[key] = _Kept.empty(state)
        self._counts.move_to_end(key)
        while len(self._counts) > self._kept:
            self._counts.popitem(last=False)
        if kept.version < state.version:
            self._catch_up(kept, state)
        return kept.counter.results()

    @staticmethod
    def _catch_up(kept: _Kept, state: PollState) -> None:
        events = Vote.objects.filter(
            poll_id=state.id, epoch=state.epoch, seq__gt=kept.version, seq__lte=state.version
        ).order_by("seq")
        fresh: dict[int, Any] = {}
        replaced: list[int] = []
        for seq, marks, replaces in events.values_list("seq", "marks", "replaces"):
            if marks is not None:
                fresh[seq] = marks
            if replaces is not None:
                replaced.append(replaces)
        older = [seq for seq in replaced if seq not in fresh]
        earlier = Vote.objects.filter(poll_id=state.id, epoch=state.epoch, seq__in=older)
        known = dict(fresh)
        for seq, marks in earlier.values_list("seq", "marks") if older else ():
            assert marks is not None
            known[seq] = marks
        # Nothing below asks the database: a count that failed half way could not go on.
        if len(fresh) > _MANY_BALLOTS:
            kept.counter.add_many(fresh.values())
        else:
            for marks in fresh.values():
                kept.counter.add(marks)
        for seq in replaced:
            if seq in known:  # not so when the poll was deleted between the two queries
                kept.counter.remove(known[seq])
        kept.version = state.version
