"""Where several people are one voter, by a code or an address, a vote is that of who cast it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.core.signing import Signer
from django.db.models import F

from polls.identity.voters import read_token
from polls.models import Poll, Vote
from polls.recount import recount_poll
from tests.polls.people import Json, Person, Site, refusal

SHARED = pytest.mark.parametrize("policy", ["code", "ip"])


class Shared:
    """A poll whose voter is a code or an address, which all people of a test have."""

    def __init__(self, owner: Person, policy: str, **fields: Any) -> None:
        self.poll = owner.make_poll(voter_policy=policy, **fields)
        self.path = f"/api/v1/polls/{self.poll['id']}/"
        self.code: str | None = None
        if policy == "code":
            made = owner.post(f"{self.path}voter-codes/", {"count": 2}, owner.key_of(self.poll))
            self.code = made.json()["codes"][0]["code"]

    def vote(self, person: Person, *choices: int, **headers: str) -> httpx.Response:
        body: Json = {"choices": choices} | ({"voter_code": self.code} if self.code else {})
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return person.post(f"{self.path}votes/", body, named)

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return ({"Voter-Code": self.code} if self.code else {}) | dict(more or {})

    def mine(self, person: Person, more: Mapping[str, str] | None = None) -> httpx.Response:
        return person.get(f"{self.path}votes/me/", self.headers(more))

    def take_back(self, person: Person, more: Mapping[str, str] | None = None) -> httpx.Response:
        return person.delete(f"{self.path}votes/me/", self.headers(more))

    def counts(self) -> dict[str, int]:
        poll = Poll.objects.get(id=self.poll["id"])
        assert recount_poll(poll.id) == []
        counts: dict[str, int] = poll.counts
        return counts


@SHARED
def test_the_voter_reads_repeats_changes_and_retracts(
    owner: Person, voter: Person, policy: str
) -> None:
    shared = Shared(owner, policy, vote_change=True)
    first = shared.vote(voter, 1)
    assert first.status_code == 201
    assert read_token(first.json()["voter_token"]) == read_token(voter.cookies["voter"])
    assert shared.vote(voter, 1).json()["vote"] == first.json()["vote"]
    assert shared.mine(voter).json()["vote"] == first.json()["vote"]
    changed = shared.vote(voter, 2)
    assert (changed.status_code, changed.json()["vote"]["choices"]) == (200, [2])
    assert shared.take_back(voter).status_code == 204
    assert refusal(shared.mine(voter)) == (404, "not_voted")
    assert shared.counts() == {"1": 0, "2": 0}


@SHARED
@pytest.mark.parametrize("vote_change", [True, False])
def test_a_second_person_learns_only_that_the_vote_is_cast(
    owner: Person, voter: Person, neighbour: Person, policy: str, vote_change: bool
) -> None:
    shared = Shared(owner, policy, vote_change=vote_change)
    assert shared.vote(voter, 1).status_code == 201
    answers = [shared.vote(neighbour, choice) for choice in (1, 2)]  # with a token after the first
    answers += [shared.vote(neighbour, choice, Idempotency_Key="theirs") for choice in (1, 2)]
    for answer in answers:
        assert refusal(answer) == (409, "already_voted")
        assert "vote" not in answer.json()
        assert answer.json() == answers[0].json()  # whether the ballot is the same or not
    for headers in ({}, {"Idempotency-Key": "theirs"}):
        assert refusal(shared.mine(neighbour, headers)) == (404, "not_voted")
        assert refusal(shared.take_back(neighbour, headers)) == (404, "not_voted")
    assert shared.counts() == {"1": 1, "2": 0}
    owner.act(shared.poll, "close")
    for choice in (1, 2):
        assert refusal(shared.vote(neighbour, choice)) == (409, "poll_closed")
    assert shared.vote(voter, 1).status_code == 200


@SHARED
def test_the_owner_does_neither(owner: Person, voter: Person, policy: str) -> None:
    """Who made the codes has them all; also below `min_voters`."""
    shared = Shared(owner, policy, min_voters=3, vote_change=True)
    assert shared.vote(voter, 1).status_code == 201
    key = owner.key_of(shared.poll)
    for choice in (1, 2):
        answer = shared.vote(owner, choice, **key)
        assert refusal(answer) == (409, "already_voted")
        assert "vote" not in answer.json()
    assert refusal(shared.mine(owner, key)) == (404, "not_voted")
    assert refusal(shared.take_back(owner, key)) == (404, "not_voted")


@SHARED
def test_the_token_or_the_first_trys_idempotency_key_shows_the_vote_anywhere(
    owner: Person, voter: Person, site: Site, policy: str
) -> None:
    shared = Shared(owner, policy, vote_change=True)
    first = shared.vote(voter, 1, Idempotency_Key="one")
    key = {"Idempotency-Key": "one"}
    token = {"Authorization": f"Voter {first.json()['voter_token']}"}
    for headers in (key, token):
        assert shared.mine(site.person(), headers).json()["vote"] == first.json()["vote"]
        again = shared.vote(site.person(), 1, **headers)
        assert (again.status_code, again.json()["vote"]) == (200, first.json()["vote"])
        assert again.json()["voter_token"] == first.json()["voter_token"]
    assert shared.vote(site.person(), 2, **key).status_code == 200
    assert shared.take_back(site.person(), key).status_code == 204
    assert shared.counts() == {"1": 0, "2": 0}
    assert shared.vote(site.person(), 2).status_code == 201  # the code is free again


@SHARED
def test_after_a_first_try_with_token_and_key_each_alone_shows_the_vote(
    owner: Person, voter: Person, neighbour: Person, site: Site, policy: str
) -> None:
    shared = Shared(owner, policy, vote_change=True)
    minted = voter.post("/api/v1/voters/").json()["voter_token"]
    token, key = {"Authorization": f"Voter {minted}"}, {"Idempotency-Key": "one"}
    first = shared.vote(site.person(), 1, **token, **key)
    assert (first.status_code, first.json()["voter_token"]) == (201, minted)
    other = neighbour.post("/api/v1/voters/").json()["voter_token"]
    for headers in (key, token, {"Authorization": f"Voter {other}", **key}):
        again = shared.vote(site.person(), 1, **headers)
        assert (again.status_code, again.json()["vote"]) == (200, first.json()["vote"])
        assert shared.mine(site.person(), headers).json()["vote"] == first.json()["vote"]
    for headers in ({"Authorization": f"Voter {other}"}, {"Idempotency-Key": "two"}, {}):
        assert refusal(shared.vote(site.person(), 1, **headers)) == (409, "already_voted")
        assert refusal(shared.mine(site.person(), headers)) == (404, "not_voted")
    # A change by one leaves the vote to the other.
    assert shared.vote(site.person(), 2, **key).status_code == 200
    assert shared.mine(site.person(), token).json()["vote"]["choices"] == [2]
    assert shared.take_back(site.person(), token).status_code == 204
    assert shared.counts() == {"1": 0, "2": 0}


def test_the_token_without_the_code_shows_nothing(owner: Person, voter: Person) -> None:
    shared = Shared(owner, "code")
    shared.vote(voter, 1)
    assert refusal(voter.get(f"{shared.path}votes/me/")) == (404, "not_voted")


@SHARED
@pytest.mark.parametrize("what", ["results", "timeline"])
def test_results_after_the_vote_are_for_who_cast_it(
    owner: Person, voter: Person, neighbour: Person, policy: str, what: str
) -> None:
    shared = Shared(owner, policy, results_visibility="after_vote")
    assert shared.vote(voter, 1).json()["results"]["counts"] == {"1": 1, "2": 0}
    path = f"{shared.path}{what}/"
    assert voter.get(path, shared.headers()).status_code == 200
    shared.vote(neighbour, 1)
    assert refusal(neighbour.get(path, shared.headers())) == (403, "results_hidden")


# Votes from before, of which it is not known what token cast them


def from_before(shared: Shared, voter: Person) -> str:
    """Vote as it was before, and be a browser of before: its token."""
    assert shared.vote(voter, 1).status_code == 201
    Vote.objects.update(caster=None)
    device = read_token(voter.cookies["voter"])
    return Signer(salt="livepoll.voter", sep=".").sign(device)


@SHARED
def test_a_vote_from_before_is_shown_to_nobody(
    owner: Person, voter: Person, neighbour: Person, policy: str
) -> None:
    shared = Shared(owner, policy, vote_change=True)
    token = {"Authorization": f"Voter {from_before(shared, voter)}"}
    for person, headers in ((voter, {}), (voter, token), (neighbour, {}), (owner, {})):
        assert refusal(shared.mine(person, headers)) == (404, "not_voted")
        assert refusal(shared.take_back(person, headers)) == (404, "not_voted")
        changed = shared.vote(person, 2, **headers)
        assert refusal(changed) == (409, "already_voted")
        assert "vote" not in changed.json()
    for person in (voter, neighbour):
        assert refusal(shared.vote(person, 1)) == (409, "already_voted")
    assert shared.counts() == {"1": 1, "2": 0}


@SHARED
def test_a_vote_from_before_is_repeated_for_a_day_to_a_token_from_before(
    owner: Person, voter: Person, site: Site, policy: str
) -> None:
    shared = Shared(owner, policy)
    token = {"Authorization": f"Voter {from_before(shared, voter)}"}
    again = shared.vote(site.person(), 1, **token)
    assert (again.status_code, again.json()["vote"]["seq"]) == (200, 1)
    Vote.objects.update(cast_at=F("cast_at") - timedelta(hours=24))
    assert refusal(shared.vote(site.person(), 1, **token)) == (409, "already_voted")
