"""A poll of any kind that is open, without a database."""

import uuid
from typing import Any

from polls.rules.kinds import kind_of
from polls.rules.poll import PollState
from polls.rules.tally import Tally

OPTIONS = 4


def option_texts(name: str, options: int = OPTIONS) -> list[str]:
    """So many options, or as many of them as the kind may have."""
    kind = kind_of(name)
    number = min(max(options, kind.options_min), kind.options_max)
    return [f"Option {option + 1}" for option in range(number)]


def state_of_kind(name: str, *, options: int = OPTIONS, **fields: Any) -> PollState:
    """With so many options, or as many of them as the kind may have, and no votes."""
    kind = kind_of(name)
    number = len(option_texts(name, options))
    at_least, at_most = kind.choice_bounds(number, None, None)
    tally = Tally.empty(name, range(1, number + 1))
    state = PollState(
        id=uuid.UUID(int=1),
        code="K7QM2X",
        kind=name,
        min_choices=at_least,
        max_choices=at_most,
        is_draft=False,
        opens_at=None,
        closes_at=None,
        paused_at=None,
        closed_at=None,
        voter_policy="device",
        vote_change=False,
        results_visibility="always",
        min_voters=0,
        epoch=1,
        revision=1,
        version=0,
        voters=0,
        votes=0,
        counts=tally.counts,
        stars=tally.stars,
        owner_id=None,
        owner_key_hash="",
    )
    return state._replace(**fields)


def with_tally(state: PollState, tally: Tally) -> PollState:
    """The poll after these votes."""
    return state.with_totals(tally.voters, tally.voters, tally.votes, tally.counts, tally.stars)
