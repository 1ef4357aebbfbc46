"""/api/v1/accounts/: making one, signing in, and what an account may do."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

from tests.polls.people import Json, Person, field_errors, refusal

PASSWORD = "correct horse 7"
ACCOUNTS = "/api/v1/accounts/"


def register(person: Person, name: str = "vera", password: str = PASSWORD) -> httpx.Response:
    return person.post(ACCOUNTS, {"username": name, "password": password})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_new_account_is_signed_in(voter: Person) -> None:
    made = register(voter)
    assert made.status_code == 201
    body = made.json()
    assert set(body) == {"id", "username", "access", "refresh"}
    me = voter.get(f"{ACCOUNTS}me/", bearer(body["access"]))
    assert me.json() == {"id": body["id"], "username": "vera"}
    assert PASSWORD not in User.objects.get(username="vera").password


@pytest.mark.parametrize(
    ("name", "password", "error"),
    [
        ("", PASSWORD, ("username", "blank")),
        ("v" * 151, PASSWORD, ("username", "max_length")),
        ("ve ra", PASSWORD, ("username", "invalid")),
        ("vera", "short", ("password", "password_too_short")),
        ("vera", "password123", ("password", "password_too_common")),
        ("verena-lang", "verena-lang", ("password", "password_too_similar")),
    ],
)
def test_a_name_or_password_that_will_not_do_is_named(
    voter: Person, name: str, password: str, error: tuple[str, str]
) -> None:
    assert error in field_errors(register(voter, name, password))
    assert not User.objects.exists()


def test_a_name_is_given_once(voter: Person, neighbour: Person) -> None:
    register(voter)
    assert field_errors(register(neighbour, password="another horse 8")) == [("username", "unique")]


def test_a_stale_voter_cookie_hinders_no_registration(voter: Person) -> None:
    voter.cookies.set("voter", "old.one")
    assert register(voter).status_code == 201


def test_signing_in(voter: Person) -> None:
    register(voter)
    signed_in = voter.post(f"{ACCOUNTS}token/", {"username": "vera", "password": PASSWORD})
    assert signed_in.status_code == 200
    me = voter.get(f"{ACCOUNTS}me/", bearer(signed_in.json()["access"]))
    assert me.json()["username"] == "vera"


def test_wrong_name_and_wrong_password_are_refused_alike(voter: Person) -> None:
    register(voter)
    answers = [
        voter.post(f"{ACCOUNTS}token/", {"username": name, "password": password})
        for name, password in (("vera", "wrong horse 7"), ("nobody", PASSWORD))
    ]
    assert [refusal(one) for one in answers] == [(401, "invalid_credentials")] * 2
    assert answers[0].text == answers[1].text


def test_a_refresh_token_gives_a_new_access_token_and_is_none(voter: Person) -> None:
    body = register(voter).json()
    fresh = voter.post(f"{ACCOUNTS}token/refresh/", {"refresh": body["refresh"]})
    assert fresh.status_code == 200
    assert voter.get(f"{ACCOUNTS}me/", bearer(fresh.json()["access"])).status_code == 200
    as_access = voter.get(f"{ACCOUNTS}me/", bearer(body["refresh"]))
    assert refusal(as_access) == (401, "invalid_token")
    as_refresh = voter.post(f"{ACCOUNTS}token/refresh/", {"refresh": body["access"]})
    assert refusal(as_refresh) == (401, "invalid_token")


@pytest.mark.parametrize("headers", [{}, bearer("owner_x"), bearer("x.y.z"), bearer("")])
def test_me_is_nobody_without_an_account(voter: Person, headers: dict[str, str]) -> None:
    assert refusal(voter.get(f"{ACCOUNTS}me/", headers)) == (401, "invalid_token")


def test_an_expired_token_is_refused(voter: Person) -> None:
    user = User.objects.get(pk=register(voter).json()["id"])
    token = AccessToken.for_user(user)
    token.set_exp(lifetime=-timedelta(seconds=1))
    assert refusal(voter.get(f"{ACCOUNTS}me/", bearer(str(token)))) == (401, "invalid_token")


def test_a_token_of_an_account_that_is_gone_is_worth_nothing(voter: Person) -> None:
    body = register(voter).json()
    headers = bearer(body["access"])
    User.objects.filter(pk=body["id"]).update(is_active=False)
    assert refusal(voter.get(f"{ACCOUNTS}me/", headers)) == (401, "invalid_token")
    poll = {"question": "?", "options": ["A", "B"]}
    assert refusal(voter.post("/api/v1/polls/", poll, headers)) == (401, "invalid_token")
    refreshed = voter.post(f"{ACCOUNTS}token/refresh/", {"refresh": body["refresh"]})
    assert refusal(refreshed) == (401, "invalid_token")
    again = voter.post(f"{ACCOUNTS}token/", {"username": "vera", "password": PASSWORD})
    assert refusal(again) == (401, "invalid_credentials")


# Voting


def vote_as(person: Person, poll: Json, choice: int, access: str) -> httpx.Response:
    return person.vote(poll, choice, **bearer(access))


def test_an_account_votes_once_from_any_device(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll(voter_policy="account")
    first = register(voter).json()["access"]
    signed_in = neighbour.post(f"{ACCOUNTS}token/", {"username": "vera", "password": PASSWORD})
    second = signed_in.json()["access"]

    assert vote_as(voter, poll, 1, first).status_code == 201
    assert vote_as(neighbour, poll, 1, second).status_code == 200
    assert refusal(vote_as(neighbour, poll, 2, second)) == (409, "already_voted")
    other = register(neighbour, "nora").json()["access"]
    assert vote_as(neighbour, poll, 2, other).status_code == 201
    assert owner.results(poll)["counts"] == {"1": 1, "2": 1}
    mine = neighbour.get(f"/api/v1/polls/{poll['id']}/votes/me/", bearer(second))
    assert mine.json()["vote"]["choices"] == [1]


def test_neither_a_device_nor_an_owner_key_is_an_account(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(voter_policy="account")
    token = voter.post("/api/v1/voters/").json()["voter_token"]
    assert refusal(voter.vote(poll, 1, Authorization=f"Voter {token}")) == (401, "voter_required")
    assert refusal(voter.vote(poll, 1, **owner.key_of(poll))) == (401, "voter_required")


def test_an_account_shows_its_own_results_after_its_vote(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(voter_policy="account", results_visibility="after_vote")
    access = register(voter).json()["access"]
    path = f"/api/v1/polls/{poll['id']}/results/"
    assert refusal(voter.get(path, bearer(access))) == (403, "results_hidden")
    assert vote_as(voter, poll, 1, access).json()["results"]["voters"] == 1
    assert voter.get(path, bearer(access)).status_code == 200
    assert refusal(voter.get(path)) == (403, "results_hidden")


# Owning


def owned_poll(person: Person, access: str, **fields: Any) -> Json:
    body = {"question": "?", "options": ["A", "B"], **fields}
    made = person.post("/api/v1/polls/", body, bearer(access))
    assert made.status_code == 201
    poll: Json = made.json()
    assert "owner_key" not in poll
    return poll


def test_an_account_acts_on_its_polls_and_nobody_else_does(owner: Person, outsider: Person) -> None:
    mine = register(owner).json()["access"]
    other = register(outsider, "otto").json()["access"]
    poll = owned_poll(owner, mine, voter_policy="code")
    paths = [
        ("POST", "pause/", None), ("POST", "open/", None), ("PATCH", "", {"question": "?!"}),
        ("POST", "voter-codes/", {"count": 1}), ("GET", "export/votes.csv", None),
        ("POST", "close/", None), ("POST", "reset/", None),
    ]  # fmt: skip
    for method, path, body in paths:
        full = f"/api/v1/polls/{poll['id']}/{path}"
        refused = outsider.request(method, full, json=body, headers=bearer(other))
        assert refused.status_code in (401, 403), path
        assert owner.request(method, full, json=body, headers=bearer(mine)).is_success, path


def test_a_clone_belongs_to_the_account_that_made_it(owner: Person, outsider: Person) -> None:
    mine = register(owner).json()["access"]
    poll = owned_poll(owner, mine)
    cloned = owner.post(f"/api/v1/polls/{poll['id']}/clone/", headers=bearer(mine))
    assert cloned.status_code == 201
    assert "owner_key" not in cloned.json()
    path = f"/api/v1/polls/{cloned.json()['id']}/"
    assert owner.delete(path, bearer(mine)).status_code == 204


def test_a_poll_of_a_deleted_account_stays_and_has_no_owner(owner: Person, voter: Person) -> None:
    body = register(owner).json()
    poll = owned_poll(owner, body["access"])
    voter.vote(poll, 1)
    User.objects.get(pk=body["id"]).delete()
    path = f"/api/v1/polls/{poll['id']}/close/"
    assert owner.post(path, headers=bearer(body["access"])).status_code in (401, 403)
    assert voter.results(poll)["counts"] == {"1": 1, "2": 0}


def test_a_deactivated_account_acts_on_nothing_any_more(owner: Person) -> None:
    body = register(owner).json()
    poll = owned_poll(owner, body["access"])
    User.objects.filter(pk=body["id"]).update(is_active=False)
    path = f"/api/v1/polls/{poll['id']}/"
    headers = bearer(body["access"])
    assert refusal(owner.post(f"{path}close/", headers=headers)) == (401, "invalid_token")
    assert refusal(owner.delete(path, headers)) == (401, "invalid_token")
