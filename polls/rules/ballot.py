"""Ballots: what a voter sends, read by the rules of the poll's kind. Pure."""

from collections.abc import Mapping
from typing import Any

from polls.rules.kinds import KINDS
from polls.rules.kinds.kind import Marks
from polls.rules.poll import PollState
from polls.rules.refusals import BallotError, Refusal

__all__ = ["BallotError", "Marks", "Refusal", "read_ballot", "slot_of"]


def read_ballot(state: PollState, body: Mapping[str, Any]) -> Marks:
    """The marks in a vote's body, checked against the poll's rules and normalised.

    Raises:
        BallotError: with the refusal and a sentence for the voter.
    """
    return KINDS[state.kind].read(state, body)


def slot_of(state: PollState, body: Mapping[str, Any] | None) -> str:
    """Which of a voter's votes in this poll a body is; "" where there is but one.

    Part of the voter key (`identity.voters.voter_key`). A retraction, which has no body,
    concerns the slot "".
    """
    return "" if body is None else KINDS[state.kind].slot(body)
