"""Ranked polls: options best first, counted by instant run-off (`run_off`).

The tally holds first preferences, so votes are recorded as fast as in any other kind; the
rounds are counted where results are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from polls.rules.kinds.choices import ChoicesKind
from polls.rules.kinds.kind import JsonSchema, Marks
from polls.rules.kinds.run_off import TIE_RULES, RankedCount

if TYPE_CHECKING:
    from polls.rules.poll import PollState
    from polls.rules.tally import Tally

_OPTION_OR_NULL = {"type": ["integer", "null"]}
_ROUND = {
    "type": "object",
    "properties": {
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "eliminated": _OPTION_OR_NULL,
        "exhausted": {"type": "integer"},
        "tied": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "Options that shared the last place.",
        },
        "tie_rule": {
            "type": ["string", "null"],
            "enum": [*TIE_RULES, None],
            "description": "What decided.",
        },
    },
    "required": ["counts", "eliminated", "exhausted", "tied", "tie_rule"],
}


class Ranked(ChoicesKind):
    name: ClassVar[str] = "ranked"
    needs_ballots: ClassVar[bool] = True
    results_schema: ClassVar[JsonSchema] = {
        "rounds": {"type": "array", "items": _ROUND},
        "winner": _OPTION_OR_NULL,
        "tie": {"type": "boolean", "description": "The tie rule named the winner."},
        "condorcet_winner": _OPTION_OR_NULL,
    }

    def count(self, tally: Tally, marks: Marks, sign: int) -> None:
        """The first preference alone."""
        assert isinstance(marks, list)
        if marks:
            tally.counts[str(marks[0])] += sign
            tally.votes += sign

    def counter(self, state: PollState) -> RankedCount:
        return RankedCount(sorted(map(int, state.counts)), tie_seed=state.id.bytes)

    def facts(self, results: Mapping[str, Any]) -> Iterable[str]:
        if results["winner"]:
            yield f"Winner of the instant run-off: option {results['winner']}."
