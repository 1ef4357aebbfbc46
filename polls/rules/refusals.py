"""Why a vote is not counted. Pure."""

from enum import StrEnum


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
    NOT_VOTED = "not_voted"
    VOTE_CHANGE_OFF = "vote_change_off"


OF_RETRACTIONS_ALONE = {Refusal.NOT_VOTED, Refusal.VOTE_CHANGE_OFF}


class BallotError(ValueError):
    """A ballot that the poll's rules do not take."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail
