"""The rules of a poll, without a framework: status, ballots, decisions, tallies.

Pure functions and small values; imports no Django, does no I/O. Whatever is decided here is
decided under the poll's lock by `recording`, or by `first_votes` for as long as the poll is the
same, and nowhere else.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID


class Kind(StrEnum):
    SINGLE = "single"
    MULTIPLE = "multiple"
    RANKED = "ranked"
    RATING = "rating"


class Status(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class VoterPolicy(StrEnum):
    DEVICE = "device"
    ACCOUNT = "account"
    CODE = "code"
    IP = "ip"
    OPEN = "open"


class Visibility(StrEnum):
    ALWAYS = "always"
    AFTER_VOTE = "after_vote"
    AFTER_CLOSE = "after_close"
    OWNER = "owner"


MAX_STARS = 5

LIMITS: dict[str, int] = {
    "question_characters": 300,
    "description_characters": 2000,
    "option_text_characters": 200,
    "options_min": 2,
    "options_max": 50,
    "embed_origins_max": 20,
    "embed_origin_characters": 200,
    "duration_min_seconds": 1,
    "duration_max_seconds": 366 * 24 * 3600,
    "voter_codes_a_request": 10_000,
    "voter_codes_a_sheet": 500,
    "voter_codes_a_poll": 100_000,
    "vote_body_bytes": 16 * 1024,
    "poll_body_bytes": 256 * 1024,
    "idempotency_key_characters": 200,
    "websocket_frame_bytes": 4 * 1024,
    "rating_min": 1,
    "rating_max": MAX_STARS,
}

# A ballot's marks as they are stored: option ids for single, multiple (ascending) and
# ranked (best first), {"option id": stars} for rating. JSON as it stands.
Marks = list[int] | dict[str, int]


class PollState(NamedTuple):
    """What must be known of a poll to decide a vote and to show its tally.

    `counts` has a key for every option ("1", "2", …); `stars` is the histogram of a
    rating poll, five numbers an option, else None. `revision` rises with every act and
    edit of the owner, `version` with every vote event; both are raised under the poll's
    lock, so (epoch, version, revision) orders all states of a poll.
    """

    id: UUID
    code: str
    kind: str
    min_choices: int
    max_choices: int
    is_draft: bool
    opens_at: datetime | None
    closes_at: datetime | None
    paused_at: datetime | None
    closed_at: datetime | None
    voter_policy: str
    vote_change: bool
    results_visibility: str
    min_voters: int
    epoch: int
    revision: int
    version: int
    voters: int
    votes: int
    counts: dict[str, int]
    stars: dict[str, list[int]] | None
    owner_id: int | None
    owner_key_hash: str

    def with_totals(
        self,
        version: int,
        voters: int,
        votes: int,
        counts: dict[str, int],
        stars: dict[str, list[int]] | None,
    ) -> "PollState":
        """The same poll after more votes; `_replace` costs three times as much."""
        return _make_state(
            (*self[:_TOTALS], version, voters, votes, counts, stars, *self[_AFTER_TOTALS:])
        )

    @property
    def order(self) -> tuple[int, int, int]:
        """Where this state stands among all states of the poll."""
        return (self.epoch, self.version, self.revision)

    def status_at(self, now: datetime) -> Status:
        if self.closed_at is not None or (self.closes_at is not None and now >= self.closes_at):
            return Status.CLOSED
        if self.is_draft:
            return Status.DRAFT
        if self.opens_at is not None and now < self.opens_at:
            return Status.SCHEDULED
        return Status.OPEN if self.paused_at is None else Status.PAUSED

    @property
    def is_withheld(self) -> bool:
        """Whether too few have voted for any number that could give a voter away."""
        return self.voters < self.min_voters

    def needs_sealing(self, now: datetime) -> bool:
        """Whether the clock has closed the poll and no one has written that down yet."""
        return self.closed_at is None and self.closes_at is not None and now >= self.closes_at

    def next_moment(self, now: datetime) -> datetime | None:
        """The next time at which the clock alone changes the status."""
        if self.closed_at is not None:
            return None
        moments = [at for at in (self.opens_at, self.closes_at) if at is not None and at > now]
        return min(moments, default=None)


_make_state = PollState._make
_TOTALS = PollState._fields.index("version")
_AFTER_TOTALS = PollState._fields.index("stars") + 1


class Refusal(StrEnum):
    """Why a vote was not counted; each has its class in `errors`."""

    POLL_NOT_OPEN = "poll_not_open"
    POLL_CLOSED = "poll_closed"
    ALREADY_VOTED = "already_voted"
    MALFORMED = "malformed"
    INVALID_OPTION = "invalid_option"
    TOO_FEW_CHOICES = "too_few_choices"
    TOO_MANY_CHOICES = "too_many_choices"
    DUPLICATE_CHOICES = "duplicate_choices"


class BallotError(ValueError):
    """A ballot that the poll's rules do not take."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail


def read_ballot(state: PollState, body: Mapping[str, Any]) -> Marks:
    """The marks in a vote's body, checked against the poll's rules and normalised.

    Raises:
        BallotError: with the refusal and a sentence for the voter.
    """
    if state.kind == Kind.RATING:
        return _read_ratings(state, body.get("ratings"))
    return _read_choices(state, body.get("choices"))


def _read_choices(state: PollState, choices: Any) -> list[int]:
    if not isinstance(choices, list) or any(type(choice) is not int for choice in choices):
        raise BallotError(Refusal.MALFORMED, "“choices” must be a list of option ids.")
    for choice in choices:
        if str(choice) not in state.counts:
            raise BallotError(Refusal.INVALID_OPTION, f"This poll has no option {choice}.")
    if len(set(choices)) != len(choices):
        raise BallotError(Refusal.DUPLICATE_CHOICES, "An option may be chosen once only.")
    _check_number(state, len(choices))
    return sorted(choices) if state.kind == Kind.MULTIPLE else choices


def _read_ratings(state: PollState, ratings: Any) -> dict[str, int]:
    if not isinstance(ratings, dict):
        raise BallotError(Refusal.MALFORMED, "“ratings” must map option ids to 1 to 5.")
    for option, stars in ratings.items():
        if option not in state.counts:
            raise BallotError(Refusal.INVALID_OPTION, f"This poll has no option {option[:20]}.")
        if type(stars) is not int or not 1 <= stars <= MAX_STARS:
            raise BallotError(Refusal.MALFORMED, f"A rating is a whole number, 1 to {MAX_STARS}.")
    _check_number(state, len(ratings))
    return {option: ratings[option] for option in sorted(ratings, key=int)}


def _check_number(state: PollState, number: int) -> None:
    if number < state.min_choices:
        raise BallotError(Refusal.TOO_FEW_CHOICES, f"Choose at least {state.min_choices}.")
    if number > state.max_choices:
        raise BallotError(Refusal.TOO_MANY_CHOICES, f"Choose at most {state.max_choices}.")


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REPLACED = "replaced"
    RETRACTED = "retracted"
    REFUSED = "refused"


def decide_vote(
    state: PollState, now: datetime, marks: Marks, earlier: Marks | None
) -> Verdict | Refusal:
    """What becomes of a valid ballot: the whole rule of who may vote when, how often.

    A repeat of the recorded vote is answered as such whatever the poll's state, so that
    a retry always gets the first answer.
    """
    if earlier is not None and earlier == marks:
        return Verdict.REPEATED
    refusal = refusal_by_status(state, now)
    if refusal is not None:
        return refusal
    if earlier is None:
        return Verdict.ACCEPTED
    return Verdict.REPLACED if state.vote_change else Refusal.ALREADY_VOTED


def refusal_by_status(state: PollState, now: datetime) -> Refusal | None:
    """Why the poll takes no votes now, or None when it does."""
    status = state.status_at(now)
    if status == Status.OPEN:
        return None
    return Refusal.POLL_CLOSED if status == Status.CLOSED else Refusal.POLL_NOT_OPEN


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


def may_see_results(state: PollState, status: Status, *, is_owner: bool, has_voted: bool) -> bool:
    """Whether somebody may see the tally now. Holds for every path that shows one."""
    visibility = state.results_visibility
    if is_owner or visibility == Visibility.ALWAYS:
        return True
    if visibility == Visibility.AFTER_VOTE:
        return has_voted
    return visibility == Visibility.AFTER_CLOSE and status == Status.CLOSED


def count_ballots(kind: str, options: Sequence[int], ballots: Iterable[Marks]) -> Tally:
    """A tally from nothing but the ballots: what a recount compares with."""
    tally = Tally.empty(kind, options)
    for marks in ballots:
        tally.add(kind, marks)
    return tally
