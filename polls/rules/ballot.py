"""Ballots: what a voter sends, checked against the poll's rules and normalised. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from polls.rules.kinds import Kind
from polls.rules.limits import MAX_STARS
from polls.rules.poll import PollState

# A ballot's marks as they are stored: option ids for single, multiple (ascending) and
# ranked (best first), {"option id": stars} for rating. JSON as it stands.
Marks = list[int] | dict[str, int]


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
