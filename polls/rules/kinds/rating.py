"""Rating polls: one to five stars an option, counted as one small histogram an option.

Exact: sums are integers, and only the finished mean becomes a float. A histogram is five
counts, so a tally costs the same after ten votes and after ten million.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from polls.rules.kinds.kind import Bar, JsonSchema, Kind, Marks, require_number
from polls.rules.limits import MAX_STARS
from polls.rules.refusals import BallotError, Refusal

if TYPE_CHECKING:
    from polls.rules.poll import PollState
    from polls.rules.tally import Tally


class Rating(Kind):
    """Ballots are `{"ratings": {"option id": stars, …}}`; not every option need be rated."""

    name: ClassVar[str] = "rating"
    is_sum: ClassVar[bool] = False
    ballot_schema: ClassVar[JsonSchema] = {
        "ratings": {
            "type": "object",
            "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MAX_STARS},
        }
    }
    results_schema: ClassVar[JsonSchema] = {
        "means": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        "distribution": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "integer"}},
        },
    }
    result_columns: ClassVar[tuple[str, ...]] = ("option", "text", "count", "mean")
    vote_columns: ClassVar[tuple[str, ...]] = ("choices",)

    def read(self, state: PollState, body: Mapping[str, Any]) -> dict[str, int]:
        """The ratings, in the order of the options."""
        ratings = body.get("ratings")
        if not isinstance(ratings, dict):
            raise BallotError(Refusal.MALFORMED, "“ratings” must map option ids to 1 to 5.")
        for option, stars in ratings.items():
            if option not in state.counts:
                detail = f"This poll has no option {option[:20]}."
                raise BallotError(Refusal.INVALID_OPTION, detail)
            if type(stars) is not int or not 1 <= stars <= MAX_STARS:
                detail = f"A rating is a whole number, 1 to {MAX_STARS}."
                raise BallotError(Refusal.MALFORMED, detail)
        require_number(state, len(ratings))
        return {option: ratings[option] for option in sorted(ratings, key=int)}

    def marks_json(self, marks: Marks) -> dict[str, Any]:
        return {"ratings": marks}

    def empty_stars(self, options: Sequence[str]) -> dict[str, list[int]] | None:
        return {option: [0] * MAX_STARS for option in options}

    def count(self, tally: Tally, marks: Marks, sign: int) -> None:
        histogram, counts = tally.stars, tally.counts
        assert histogram is not None
        assert isinstance(marks, dict)
        for option, stars in marks.items():
            histogram[option][stars - 1] += sign
            counts[option] += sign
        tally.votes += sign * len(marks)

    def results(self, state: PollState) -> dict[str, Any]:
        assert state.stars is not None
        means = {option: mean(stars) for option, stars in state.stars.items()}
        return {"means": means, "distribution": state.stars}

    def result_rows(
        self, results: Mapping[str, Any], texts: Mapping[int, str]
    ) -> Iterator[tuple[object, ...]]:
        means = results["means"]
        for option, text, count in super().result_rows(results, texts):
            yield (option, text, count, means[str(option)])

    def vote_cells(self, marks: Marks) -> tuple[object, ...]:
        ratings = cast(dict[str, int], marks)
        return (" ".join(f"{option}:{stars}" for option, stars in ratings.items()),)

    def bars(self, results: Mapping[str, Any], texts: Mapping[int, str]) -> Iterator[Bar]:
        for _, text, count, average in self.result_rows(results, texts):
            yield Bar(str(text), cast(int, count), f"ø {average or '-'}")


def mean(histogram: Sequence[int]) -> float | None:
    """The mean to two decimals, halves up (4.125 is 4.13); None without a rating.

    Rounded in whole hundredths, never from a float, so that it is the same everywhere.
    """
    votes = sum(histogram)
    if not votes:
        return None
    total = sum(rating * n for rating, n in enumerate(histogram, start=1))
    return ((200 * total + votes) // (2 * votes)) / 100
