"""Counting ballots in and out of a poll's totals. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from polls.rules.kinds import KINDS
from polls.rules.kinds.kind import Marks
from polls.rules.poll import PollState


@dataclass(slots=True)
class Tally:
    """A poll's running totals.

    `voters` is the number of ballots counted, `votes` what the kind counts of them, `counts` has
    a number for each option, and `stars` is the kind's histogram, if it has one.
    """

    voters: int
    votes: int
    counts: dict[str, int]
    stars: dict[str, list[int]] | None

    @classmethod
    def empty(cls, kind: str, options: Iterable[int]) -> "Tally":
        names = [str(option) for option in options]
        return cls(0, 0, dict.fromkeys(names, 0), KINDS[kind].empty_stars(names))

    @classmethod
    def to_add(cls) -> "Tally":
        """Of no vote yet, for kinds that are `is_sum`."""
        return cls(0, 0, defaultdict(int), None)

    @classmethod
    def of(cls, state: PollState) -> "Tally":
        """A copy of the totals in `state`, free to be changed."""
        stars = state.stars and {option: list(row) for option, row in state.stars.items()}
        return cls(state.voters, state.votes, dict(state.counts), stars)

    def add(self, kind: str, marks: Marks, sign: int = 1) -> None:
        """Count one ballot in (`sign` 1) or out (-1)."""
        self.voters += sign
        KINDS[kind].count(self, marks, sign)


def count_ballots(kind: str, options: Sequence[int], ballots: Iterable[Marks]) -> Tally:
    """A tally from nothing but the ballots: what a recount compares with."""
    tally = Tally.empty(kind, options)
    for marks in ballots:
        tally.add(kind, marks)
    return tally
