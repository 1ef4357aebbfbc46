"""Counting ballots in and out of a poll's totals. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from polls.rules.ballot import Marks
from polls.rules.kinds import Kind
from polls.rules.limits import MAX_STARS
from polls.rules.poll import PollState


@dataclass(slots=True)
class Tally:
    """A poll's running totals; `votes` is always the sum of `counts`."""

    voters: int
    votes: int
    counts: dict[str, int]
    stars: dict[str, list[int]] | None

    @classmethod
    def empty(cls, kind: str, options: Iterable[int]) -> "Tally":
        names = [str(option) for option in options]
        stars = {name: [0] * MAX_STARS for name in names} if kind == Kind.RATING else None
        return cls(0, 0, dict.fromkeys(names, 0), stars)

    @classmethod
    def to_add(cls) -> "Tally":
        """Of no vote yet, and no rating."""
        return cls(0, 0, defaultdict(int), None)

    @classmethod
    def of(cls, state: PollState) -> "Tally":
        """A copy of the totals in `state`, free to be changed."""
        stars = state.stars and {option: list(row) for option, row in state.stars.items()}
        return cls(state.voters, state.votes, dict(state.counts), stars)

    def add(self, kind: str, marks: Marks, sign: int = 1) -> None:
        """Count one ballot in (`sign` 1) or out (-1)."""
        self.voters += sign
        if isinstance(marks, dict):
            assert self.stars is not None
            for option, stars in marks.items():
                self.stars[option][stars - 1] += sign
                self.counts[option] += sign
            self.votes += sign * len(marks)
            return
        counted = marks[:1] if kind == Kind.RANKED else marks
        for choice in counted:
            self.counts[str(choice)] += sign
        self.votes += sign * len(counted)


def count_ballots(kind: str, options: Sequence[int], ballots: Iterable[Marks]) -> Tally:
    """A tally from nothing but the ballots: what a recount compares with."""
    tally = Tally.empty(kind, options)
    for marks in ballots:
        tally.add(kind, marks)
    return tally
