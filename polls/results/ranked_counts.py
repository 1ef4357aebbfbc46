"""The run-off counts of the ranked polls that this process shows.

A count catches up with the record of votes by their `seq`, so each ranked vote is read
once a process and no tally costs a pass over all ballots.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from polls.models import Vote
from polls.rules.kinds.run_off import RankedCount
from polls.rules.poll import PollState

_KEPT_COUNTS = 64
_MANY_BALLOTS = 2_000  # from here on counting anew beats bringing remembered rounds up to date


@dataclass(slots=True)
class _Kept:
    count: RankedCount
    version: int


class RankedCounts:
    """Counts by poll and epoch; the least recently shown are dropped. Not thread-safe."""

    def __init__(self, kept: int = _KEPT_COUNTS) -> None:
        self._kept = kept
        self._counts: OrderedDict[tuple[UUID, int], _Kept] = OrderedDict()

    def result_at(self, state: PollState) -> dict[str, Any]:
        """`rounds`, `winner` and more at exactly this version.

        Cost: one query over the votes since the last call, two where some were replaced.
        """
        key = (state.id, state.epoch)
        kept = self._counts.get(key)
        options = sorted(int(option) for option in state.counts)
        if kept is None or kept.version > state.version or set(kept.count.options) != set(options):
            kept = _Kept(RankedCount(options, tie_seed=state.id.bytes), 0)
            self._counts[key] = kept
        self._counts.move_to_end(key)
        while len(self._counts) > self._kept:
            self._counts.popitem(last=False)
        if kept.version < state.version:
            self._catch_up(kept, state)
        return dict(kept.count.result().to_json())

    @staticmethod
    def _catch_up(kept: _Kept, state: PollState) -> None:
        events = Vote.objects.filter(
            poll_id=state.id, epoch=state.epoch, seq__gt=kept.version, seq__lte=state.version
        ).order_by("seq")
        fresh: dict[int, list[int]] = {}
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
            kept.count.add_many(fresh.values())
        else:
            for marks in fresh.values():
                kept.count.add(marks)
        for seq in replaced:
            if seq in known:  # not so when the poll was deleted between the two queries
                kept.count.remove(known[seq])
        kept.version = state.version
