"""Who may vote when, and how often. Pure."""

from datetime import datetime
from enum import StrEnum

from polls.rules.ballot import Marks, Refusal
from polls.rules.poll import PollState, Status


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REPLACED = "replaced"
    RETRACTED = "retracted"
    REFUSED = "refused"


def decide_vote(
    state: PollState,
    now: datetime,
    marks: Marks | None,
    earlier: Marks | None,
    *,
    is_own: bool = True,
) -> Verdict | Refusal:
    """Decide a valid ballot, or without `marks` a retraction: the whole rule of who may vote when,
    and how often.

    A repeat of the recorded vote is repeated in every state of the poll, so that a retry always
    gets the first answer.

    Args:
        earlier: the marks of the vote that counts for this voter.
        is_own: whether who votes now has cast it; if not, it is neither repeated nor replaced, and
            the answer is the same for every ballot.
    """
    if earlier is None or not is_own:
        if marks is None:
            return Refusal.NOT_VOTED
    elif earlier == marks:
        return Verdict.REPEATED
    refusal = refusal_by_status(state, now)
    if refusal is not None:
        return refusal
    if marks is None:
        return Verdict.RETRACTED if state.vote_change else Refusal.VOTE_CHANGE_OFF
    if earlier is None:
        return Verdict.ACCEPTED
    return Verdict.REPLACED if is_own and state.vote_change else Refusal.ALREADY_VOTED


def refusal_by_status(state: PollState, now: datetime) -> Refusal | None:
    """Why the poll takes no votes now, or None when it does."""
    status = state.status_at(now)
    if status == Status.OPEN:
        return None
    return Refusal.POLL_CLOSED if status == Status.CLOSED else Refusal.POLL_NOT_OPEN
