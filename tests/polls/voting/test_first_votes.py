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

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
POLL = UUID(int=7)


def state(**fields: Any) -> PollState:
    given: dict[str, Any] = {
        "id": POLL, "code": "ABCDEF", "kind": "single", "min_choices": 1, "max_choices": 1,
        "is_draft": False, "opens_at": None, "closes_at": None, "paused_at": None,
        "closed_at": None, "voter_policy": "device", "vote_change": True,
        "results_visibility": "always", "min_voters": 0, "epoch": 1, "revision": 1, "version": 0,
        "voters": 0, "votes": 0, "counts": {"1": 0, "2": 0}, "stars": None, "owner_id": None,
        "owner_key_hash": "",
    }  # fmt: skip
    return PollState(**(given | fields))


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
        ({"kind": "rating", "stars": {"1": [0] * 5, "2": [0] * 5}}, False),
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
    assert taken([cast("a", valid), cast("a", valid, "ABCDEF"), cast("b", valid)], state()) == 1
    assert taken([cast("a", valid), cast("a", retraction)], state()) == 0
    assert taken([cast("a", invalid), cast("b", retraction)], state()) == 0
    assert taken([cast("a", valid, UUID(int=8))], state()) == 0
