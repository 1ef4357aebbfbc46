"""What the database knows of voters and owners: enough to count once, nothing to find them by."""

import hmac
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.core.signing import Signer

from polls.identity import owners
from polls.identity.voters import (
    Identity,
    caster_key,
    device_in,
    is_from_before,
    read_token,
    token_of,
    voter_key,
)
from polls.models import Poll, Vote
from polls.rules.poll import CAST_BY_TOKEN, Derivation, PollState, VoterPolicy
from polls.selectors import state_of
from tests.polls.database_dump import dump
from tests.polls.kinds.states import state_of_kind
from tests.polls.people import HOST, Json, Person, Site, refusal

ADDRESS = "198.51.100.7"  # where the people of these tests come from
POLICIES = ("device", "account", "ip", "open")


def account(person: Person, name: str) -> dict[str, str]:
    body = {"username": name, "password": "correct horse 7"}
    made = person.post("/api/v1/accounts/", body).json()
    return {"Authorization": f"Bearer {made['access']}"}


def from_address(site: Site, address: str, poll: Json, choice: int, forwarded: str = "") -> Any:
    """A vote over a connection from `address`."""

    async def vote() -> httpx.Response:
        from asgi import application

        transport = httpx.ASGITransport(application, client=(address, 5000))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            return await client.post(
                f"/api/v1/polls/{poll['id']}/votes/",
                json={"choices": [choice]},
                headers={"X-Forwarded-For": forwarded} if forwarded else None,
            )

    return site.run(vote())


# Nothing that names a voter


def test_the_database_holds_no_address_token_or_key(owner: Person, voter: Person) -> None:
    headers = account(voter, "vera")
    tokens = [headers["Authorization"].removeprefix("Bearer ")]
    for policy in POLICIES:
        poll = owner.make_poll(voter_policy=policy, vote_change=True)
        for choice in (1, 2):
            answer = voter.vote(poll, choice, Idempotency_Key="my-own-key", **headers)
            assert answer.is_success, answer.text
            tokens += [answer.json()["voter_token"]]
        tokens.append(owner.key_of(poll)["Authorization"].removeprefix("Bearer "))
    devices = [token.partition(".")[0] for token in tokens]

    stored = dump()
    for secret in (ADDRESS, "my-own-key", "correct horse", *tokens, *devices):
        assert secret not in stored
    assert "vera" in stored  # in the table of accounts, and only there:
    lines = [line for line in stored.splitlines() if "vera" in line]
    assert [line.partition(":")[0] for line in lines] == ["auth_user"]


def test_a_vote_has_no_place_for_more_than_a_key_of_its_voter() -> None:
    names = {field.attname for field in Vote._meta.concrete_fields}
    assert names == {
        "poll_id", "epoch", "seq", "voter", "marks", "cast_at", "is_current", "replaces",
        "caster",
    }  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
def test_one_person_in_two_polls_has_two_keys(owner: Person, voter: Person, policy: str) -> None:
    headers = account(voter, "vera") if policy == "account" else {}
    keys = []
    for _ in range(2):
        poll = owner.make_poll(voter_policy=policy)
        assert voter.vote(poll, 1, **headers).status_code == 201
        keys.append(Vote.objects.get(poll_id=poll["id"]).voter)
    assert keys[0] != keys[1]


def poll_state(policy: str = "device", derivation: int = Derivation.OWN) -> PollState:
    return state_of_kind("single", id=uuid4(), voter_policy=policy, derivation=derivation)


@pytest.mark.parametrize("derivation", list(Derivation))
@pytest.mark.parametrize("policy", list(VoterPolicy))
def test_a_key_depends_on_the_secret_the_poll_and_what_the_policy_looks_at(
    policy: str, derivation: int, settings: Any
) -> None:
    poll, other = poll_state(policy, derivation), poll_state(policy, derivation)
    me = Identity("device", "address", "nonce", "account", "CODE")
    looked_at = {
        "device": "device", "account": "account", "code": "voter_code", "ip": "address",
        "open": "nonce",
    }[policy]  # fmt: skip
    key = voter_key(poll, me)
    assert key == voter_key(poll, me)
    assert key != voter_key(other, me)
    assert key != voter_key(poll._replace(derivation=3 - derivation), me)
    for name in Identity._fields:
        parts = {one: getattr(me, one) for one in Identity._fields} | {name: "another"}
        assert (voter_key(poll, Identity(**parts)) != key) == (name == looked_at)
    settings.SECRET_KEY = "another-secret"
    assert key != voter_key(poll, me)


@pytest.mark.parametrize("policy", list(VoterPolicy))
def test_what_stands_for_the_token_links_no_two_votes(policy: str) -> None:
    poll, other = poll_state(policy), poll_state(policy)
    me = Identity("device", "", "")
    keys = [caster_key(state, voter, me) for state in (poll, other) for voter in ("a", "b")]
    keys.append(caster_key(poll, "a", Identity("another device", "", "")))
    if policy in CAST_BY_TOKEN:  # and a voter key is of one poll
        assert keys[:2] == keys[2:4]
        assert len({*keys}) == 3
    else:
        assert set(keys) == {None}


def test_an_idempotency_key_is_one_voter_a_poll_and_in_polls_from_before_one_in_all() -> None:
    by_key = Identity("", "", "", idempotency_key="a key")
    new = [device_in(poll_state(), by_key) for _ in range(2)]
    before = [device_in(poll_state(derivation=Derivation.SHARED), by_key) for _ in range(2)]
    assert len({*new, *before}) == 3
    assert before[0] == before[1]
    for state in (poll_state(), poll_state("open")):
        other = by_key._replace(idempotency_key="another")
        assert voter_key(state, by_key) == voter_key(state, by_key)
        assert voter_key(state, by_key) != voter_key(state, other)
    assert device_in(poll_state(), Identity("", "", "")) == ""


def test_the_token_of_an_idempotency_key_in_one_poll_is_not_that_of_another(
    owner: Person, site: Site
) -> None:
    for policy in ("device", "ip", "open"):
        votes = [
            site.person().vote(
                owner.make_poll(voter_policy=policy), 1, Idempotency_Key="my-own-key"
            )
            for _ in range(2)
        ]
        tokens = [vote.json()["voter_token"] for vote in votes]
        assert tokens[0] != tokens[1]
        for vote, token in zip(votes, tokens, strict=True):  # the cookie is the same
            assert f"voter={token};" in vote.headers["set-cookie"]


# Addresses


def test_each_slot_of_a_voter_has_a_key_of_its_own() -> None:
    poll = poll_state()
    keys = [
        voter_key(poll, Identity(device, "", ""), slot)
        for device in ("me", "2:me", "device:me")
        for slot in ("", "me", "1", "1:medevice:", "device:me", "\x00")
    ]
    assert len(set(keys)) == len(keys)
    assert voter_key(poll, Identity("me", "", "")) == keys[0]
    assert len({key[:8] for key in keys}) == 1  # together in the index


def test_an_address_is_one_voter_with_any_forwarded_header(owner: Person, site: Site) -> None:
    poll = owner.make_poll(voter_policy="ip")
    assert from_address(site, "192.0.2.1", poll, 1).status_code == 201
    for claim in ("192.0.2.9", "192.0.2.9, 192.0.2.10", "::1"):
        assert from_address(site, "192.0.2.1", poll, 2, claim).status_code == 409
    assert from_address(site, "192.0.2.2", poll, 2, "192.0.2.1").status_code == 201
    assert owner.results(poll)["counts"] == {"1": 1, "2": 1}


@pytest.mark.parametrize("proxies", [1, 2])
def test_behind_proxies_only_their_own_word_counts(
    owner: Person, site: Site, settings: Any, proxies: int
) -> None:
    """The entry that the outermost trusted proxy wrote; what is left of it is the client's."""
    settings.TRUSTED_PROXIES = proxies
    poll = owner.make_poll(voter_policy="ip")
    inner = ", 10.0.0.1" if proxies == 2 else ""
    answers = [
        from_address(site, "10.0.0.2", poll, 1, f"{claim}192.0.2.1{inner}").status_code
        for claim in ("", "203.0.113.5, ", "junk, 192.0.2.2, ", ", ,")
    ]
    assert answers == [201, 409, 409, 409]
    assert from_address(site, "10.0.0.2", poll, 2, f"192.0.2.2{inner}").status_code == 201
    assert owner.results(poll)["counts"] == {"1": 1, "2": 1}


def test_a_request_past_the_proxies_is_its_own_address(
    owner: Person, site: Site, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 2
    poll = owner.make_poll(voter_policy="ip")
    assert from_address(site, "192.0.2.1", poll, 1).status_code == 201
    assert from_address(site, "192.0.2.1", poll, 2, "192.0.2.7").status_code == 409


# Owners


def test_an_owner_key_is_stored_hashed_and_compared_in_constant_time(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = owner.make_poll()
    key = owner.key_of(poll)["Authorization"].removeprefix("Bearer ")
    state = state_of(Poll.objects.get(id=poll["id"]))
    assert re.fullmatch(r"[0-9a-f]{64}", state.owner_key_hash)
    assert state.owner_key_hash == owners.hash_owner_key(key)
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def watch(one: str, other: str) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    assert owners.is_owner(state, key=key)
    assert not owners.is_owner(state, key=key[:-1])
    assert len(compared) == 2


@pytest.mark.parametrize("key", ["", "owner_", None])
def test_no_key_owns_nothing(key: str | None, db: None) -> None:
    poll = Poll(owner_key_hash="")
    assert not owners.is_owner(state_of(poll), key=key, account_id=None)


# A new secret


def test_voters_are_known_after_the_secret_was_rotated(
    owner: Person, voter: Person, settings: Any
) -> None:
    """The old secret goes to SECRET_KEY_FALLBACKS; a second rotation puts it behind the next."""
    poll = owner.make_poll()
    token = voter.vote(poll, 1).json()["voter_token"]
    state, by_key = poll_state(), Identity("", "", "", idempotency_key="a key")
    idempotent = device_in(state, by_key)
    oldest = settings.SECRET_KEY
    for secret, fallbacks in (("second" * 9, [oldest]), ("third" * 9, ["second" * 9, oldest])):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = secret, fallbacks
        answer = voter.vote(poll, 2, Authorization=f"Voter {token}")
        assert refusal(answer) == (409, "already_voted")
        assert voter.vote(poll, 1, Authorization=f"Voter {token}").json()["vote"]["seq"] == 1
        assert device_in(state, by_key) == idempotent
        assert token_of("x") != token  # new ones are signed with the new secret
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "unrelated" * 6, []
    stranger = voter.vote(poll, 2, Authorization=f"Voter {token}")
    assert refusal(stranger) == (401, "invalid_token")


def test_tokens_from_before_are_read_as_django_signed_them(settings: Any) -> None:
    """By the secret itself, by an older one too; new ones are signed by a key of their own."""
    oldest = settings.SECRET_KEY
    for device in ("device", "", "ünïcode", "a.b"):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = oldest, []
        before = Signer(salt="livepoll.voter", sep=".").sign(device)
        new = token_of(device)
        assert new != before
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "newer" * 9, [oldest]
        for token in (before, new, token_of(device)):
            assert read_token(token) == device
            assert is_from_before(token) == (token == before)
