"""What a kind of poll is: all that livepoll asks of one. docs/adding-a-kind.md is the recipe.

A kind is pure: no Django, no I/O, no clock. One object serves all polls of the kind, from
several threads at once, so it keeps nothing between calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from polls.rules.limits import LIMITS
from polls.rules.refusals import BallotError, Refusal

if TYPE_CHECKING:
    from polls.rules.poll import PollState
    from polls.rules.tally import Tally

# A ballot's marks as they are stored, JSON as it stands: option ids, texts, or a number for
# each option id. Two ballots that mean the same have equal marks.
Marks = list[int] | list[str] | dict[str, int]
JsonSchema = Mapping[str, Any]
# Properties that are there for all kinds, and no kind's: of a vote's body and the recorded vote,
# and of the results object.
BALLOT_FIELDS = frozenset(("voter_code", "poll", "seq", "epoch", "cast_at"))
RESULT_FIELDS = frozenset(
    (
        *("poll", "epoch", "version", "status", "final", "voters", "votes", "counts", "withheld"),
        *("as_of", "type", "watching"),
    )
)


class FieldError(ValueError):
    """A field of the poll itself that its kind does not take."""

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.code = code
        self.detail = detail


class Bar(NamedTuple):
    """One bar of the report: what it stands for, how many there are, what is said besides."""

    text: str
    number: int
    note: str = ""


class BallotCounter(Protocol):
    """The ballots of one poll and epoch, for a kind whose results need them all.

    Called by one thread at a time. `add` and `remove` must be cheap, and `results` must not
    cost a pass over all ballots: it is asked for with every tally that is shown. The results
    depend on which ballots stand, never on the order in which they came.
    """

    def add(self, marks: Any) -> None: ...

    def add_many(self, ballots: Iterable[Any]) -> None: ...

    def remove(self, marks: Any) -> None:
        """Take back a ballot that was added."""

    def results(self) -> dict[str, Any]:
        """What is added to the results object; JSON as it stands."""


class Kind(ABC):
    """One kind of poll.

    Attributes:
        name: what the API and the database call it; 8 small letters at most, never changed.
        options_min, options_max: how many options such a poll has; 0 and 0 where voters
            bring the answers.
        is_sum: `count` adds whole numbers, 1 or more, to `votes` and `counts` and does nothing
            else, so that votes can be added to totals that are not known: the engine's fast lane.
            Say False of a histogram, and of a kind that may have no options.
        needs_ballots: results need every ballot, and come from `counter`.
        ballot_schema: the properties, in OpenAPI, that a ballot adds to a vote's body, and to
            the recorded vote. None of `BALLOT_FIELDS`; a name that another kind has means the same.
        results_schema: the properties that the kind adds to the results object, all of them
            always. None of `RESULT_FIELDS`; a name that another kind has means the same.
        result_columns: header of the exported results, one cell each in `result_rows`.
        vote_columns: of the marks among the exported votes, one cell each in `vote_cells`.
    """

    name: ClassVar[str]
    options_min: ClassVar[int] = LIMITS["options_min"]
    options_max: ClassVar[int] = LIMITS["options_max"]
    is_sum: ClassVar[bool] = True
    needs_ballots: ClassVar[bool] = False
    ballot_schema: ClassVar[JsonSchema]
    results_schema: ClassVar[JsonSchema] = {}
    result_columns: ClassVar[tuple[str, ...]] = ("option", "text", "count")
    vote_columns: ClassVar[tuple[str, ...]]

    # The poll itself, when it is made or edited

    def most_choices(self, options: int) -> int:
        """The highest `max_choices` of a poll with so many options, and its default; 1 or more."""
        return options

    def check_options(self, number: int) -> None:
        """Raises:
        FieldError: a poll of this kind cannot have so many options.
        """
        if number < self.options_min:
            detail = f"A {self.name} poll has at least {self.options_min} options."
            raise FieldError("options", "min_length", detail)
        if number > self.options_max:
            detail = f"A {self.name} poll has at most {self.options_max} options."
            raise FieldError("options", "max_length", detail)

    def choice_bounds(
        self, options: int, min_choices: int | None, max_choices: int | None
    ) -> tuple[int, int]:
        """`min_choices` and `max_choices` of a poll with so many options.

        Args:
            min_choices, max_choices: as given, 1 or more; None where left out.
        Raises:
            FieldError: no ballot could be valid, or not one as large as was asked for.
        """
        most = self.most_choices(options)
        at_least = 1 if min_choices is None else min_choices
        at_most = most if max_choices is None else max_choices
        if at_most > most:
            raise FieldError("max_choices", "max_value", f"This poll can have at most {most}.")
        if at_least > at_most:
            detail = "This must not be more than max_choices."
            raise FieldError("min_choices", "max_value", detail)
        return at_least, at_most

    # A vote

    def most_votes(self, options: int) -> int:
        """How many votes one voter can have in a poll with so many options: different slots.

        Results are withheld until more have been counted than `min_voters` - 1 voters can have.
        """
        return 1

    @abstractmethod
    def read(self, state: PollState, body: Mapping[str, Any]) -> Marks:
        """The marks in a vote's body, normalised. On the way of every vote: about 1 µs.

        Args:
            body: any JSON object. `read(state, marks_json(marks))` gives `marks` again.
        Raises:
            BallotError: the poll's rules do not take it. Nothing else is raised by any body.
        """

    def slot(self, body: Mapping[str, Any]) -> str:
        """Which of one voter's votes this is, for kinds in which a voter has several.

        One vote counts for each voter and slot, and may be changed by itself. For bodies that
        `read` takes there are at most `most_votes` slots; for others it may be any.
        """
        return ""

    @abstractmethod
    def marks_json(self, marks: Marks) -> dict[str, Any]:
        """Recorded marks as voters see them: a part of the recorded vote, with no other
        properties than `ballot_schema` has."""

    # The tally

    def empty_stars(self, options: Sequence[str]) -> dict[str, list[int]] | None:
        """The histogram of a poll without votes; None where the kind has none."""
        return None

    @abstractmethod
    def count(self, tally: Tally, marks: Marks, sign: int) -> None:
        """Count one ballot in (`sign` 1) or out (-1): `votes`, `counts`, `stars`; not `voters`.

        `votes` is how many of the ballot's marks count, 1 or more; what they weigh, as points
        and stars do, is in `counts` or `stars`. With `is_sum`, `tally.counts` may lack options,
        which then count from 0.
        """

    # Results

    def results(self, state: PollState) -> dict[str, Any]:
        """What the kind adds to the results object out of the totals alone; JSON as it stands.

        Never asked for while the poll's numbers are withheld.
        """
        return {}

    def counter(self, state: PollState) -> BallotCounter:
        """An empty counter for this poll, for kinds that need ballots."""
        raise NotImplementedError(f"{self.name} polls need no ballots")

    # Exports

    def result_rows(
        self, results: Mapping[str, Any], texts: Mapping[int, str]
    ) -> Iterator[tuple[object, ...]]:
        """Rows below `result_columns`.

        Args:
            results: the whole results object, not withheld.
            texts: of every option.
        """
        for option, count in results["counts"].items():
            yield (int(option), texts.get(int(option), ""), count)

    @abstractmethod
    def vote_cells(self, marks: Marks) -> tuple[object, ...]:
        """The cells of one vote below `vote_columns`."""

    def bars(self, results: Mapping[str, Any], texts: Mapping[int, str]) -> Iterator[Bar]:
        """The bars of the report. Arguments as for `result_rows`."""
        for option, count in results["counts"].items():
            yield Bar(texts.get(int(option), ""), count)

    def facts(self, results: Mapping[str, Any]) -> Iterable[str]:
        """Sentences of the report besides its bars."""
        return ()


def require_number(state: PollState, number: int) -> None:
    """Raise BallotError unless the poll takes a ballot of so many choices."""
    if number < state.min_choices:
        raise BallotError(Refusal.TOO_FEW_CHOICES, f"Choose at least {state.min_choices}.")
    if number > state.max_choices:
        raise BallotError(Refusal.TOO_MANY_CHOICES, f"Choose at most {state.max_choices}.")
