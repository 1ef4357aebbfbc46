"""What the kinds share whose ballots are lists of option ids: single, multiple and ranked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from polls.rules.kinds.kind import JsonSchema, Kind, Marks, require_number
from polls.rules.refusals import BallotError, Refusal

if TYPE_CHECKING:
    from polls.rules.poll import PollState
    from polls.rules.tally import Tally


class ChoicesKind(Kind):
    """Ballots are `{"choices": [option id, …]}`, each option once; all that is chosen counts."""

    ballot_schema: ClassVar[JsonSchema] = {
        "choices": {"type": "array", "items": {"type": "integer", "minimum": 1}}
    }
    vote_columns: ClassVar[tuple[str, ...]] = ("choices",)

    def read(self, state: PollState, body: Mapping[str, Any]) -> list[int]:
        """The choices, in their order."""
        choices = body.get("choices")
        if not isinstance(choices, list):
            raise _malformed()
        for choice in choices:
            if type(choice) is not int:
                raise _malformed()
        counts = state.counts
        for choice in choices:
            if str(choice) not in counts:
                raise BallotError(Refusal.INVALID_OPTION, f"This poll has no option {choice}.")
        if len(choices) > 1 and len(set(choices)) != len(choices):
            raise BallotError(Refusal.DUPLICATE_CHOICES, "An option may be chosen once only.")
        require_number(state, len(choices))
        return choices

    def marks_json(self, marks: Marks) -> dict[str, Any]:
        return {"choices": marks}

    def count(self, tally: Tally, marks: Marks, sign: int) -> None:
        counts = tally.counts
        for choice in marks:
            counts[str(choice)] += sign
        tally.votes += sign * len(marks)

    def vote_cells(self, marks: Marks) -> tuple[object, ...]:
        return (" ".join(map(str, marks)),)


def _malformed() -> BallotError:
    return BallotError(Refusal.MALFORMED, "“choices” must be a list of option ids.")
