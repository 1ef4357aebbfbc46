"""Which votes of a batch are stored in one trip. No database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from polls.identity.voters import Identity
from polls.refs import PollRef
from polls.rules.poll import PollState
from polls.voting.first_votes import FirstVotes
from polls.voting.vote import Cast
from tests.polls.kinds.states import state_of_kind

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
POLL, CODE = UUID(int=1), "K7QM2X"


def state(kind: str = "single", **fields: Any) -> PollState:
    return state_of_kind(kind, options=2, **fields)


def cast(name: str, body: Any, ref: PollRef = POLL) -> Cast:
    return Cast(ref, Identity(name, "", name), body)


def taken(batch: list[Cast], known: PollState) -> int:
    return len(FirstVotes(batch, {known.id: known, known.code: known}, NOW))


@pytest.mark.parametrize(
    ("fields", "is_taken"),
    [
        ({}, True),
        ({"closes_at": NOW + timedelta(hours=1)}, True),
        ({"closes_at": NOW}, False),
        ({"closed_at": NOW}, False),
        ({"opens_at": NOW + timedelta(hours=1)}, False),
        ({"is_draft": True}, False),
        ({"paused_at": NOW}, False),
        ({"voter_policy": "code"}, False),
        ({"voter_policy": "account"}, False),  # and the voter has none
        ({"kind": "rating"}, False),
    ],
)
def test_only_open_polls_that_go_by_their_rules_alone(fields: Any, is_taken: bool) -> None:
    bodies = [{"choices": [1]}, {"ratings": {"1": 5}}]
    known = state(**fields)
    body = bodies[known.kind == "rating"]
    assert taken([cast("a", body)], known) == is_taken


def test_only_votes_that_are_the_only_one_of_their_voter_and_are_valid() -> None:
    valid, retraction, invalid = {"choices": [1]}, None, {"choices": [9]}
    assert taken([cast("a", valid), cast("b", valid)], state()) == 2
    assert taken([cast("a", valid), cast("a", valid, CODE), cast("b", valid)], state()) == 1
    assert taken([cast("a", valid), cast("a", retraction)], state()) == 0
    assert taken([cast("a", invalid), cast("b", retraction)], state()) == 0
    assert taken([cast("a", valid, UUID(int=8))], state()) == 0
