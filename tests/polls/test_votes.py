"""POST /api/v1/polls/{id}/votes/"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls.models import Poll, Vote
from polls.recount import recount_poll
from tests.polls.people import Json, Person, Site, refusal


def ballot(person: Person, poll: Json, body: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return person.post(f"/api/v1/polls/{poll['id']}/votes/", body, headers=named)


def token(text: str) -> dict[str, str]:
    return {"Authorization": f"Voter {text}"}


def test_a_vote_is_counted_and_answered_with_the_results(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()

    response = voter.vote(poll, 2)

    assert response.status_code == 201
    answer = response.json()
    cast_at = datetime.fromisoformat(answer["vote"].pop("cast_at"))
    assert abs(datetime.now(UTC) - cast_at) < timedelta(minutes=1)
    assert answer["vote"] == {"poll": poll["id"], "choices": [2], "seq": 1, "epoch": 1}
    assert answer["voter_token"]
    assert answer["results"].pop("as_of").endswith("Z")
    assert answer["results"] == {
        "poll": poll["id"],
        "epoch": 1,
        "version": 1,
        "status": "open",
        "final": False,
        "voters": 1,
        "votes": 1,
        "counts": {"1": 0, "2": 1},
    }


@pytest.mark.parametrize(
    ("kind", "body", "recorded", "counts", "votes"),
    [
        ("single", {"choices": [3]}, {"choices": [3]}, {"1": 0, "2": 0, "3": 1}, 1),
        ("multiple", {"choices": [3, 1]}, {"choices": [1, 3]}, {"1": 1, "2": 0, "3": 1}, 2),
        ("ranked", {"choices": [3, 1]}, {"choices": [3, 1]}, {"1": 0, "2": 0, "3": 1}, 1),
        (
            "rating",
            {"ratings": {"3": 5, "1": 2}},
            {"ratings": {"1": 2, "3": 5}},
            {"1": 1, "2": 0, "3": 1},
            2,
        ),
    ],
)
def test_each_kind_has_its_ballot(
    owner: Person, voter: Person, kind: str, body: Json, recorded: Json, counts: Json, votes: int
) -> None:
    poll = owner.make_poll("A", "B", "C", kind=kind)
    response = ballot(voter, poll, body)
    assert response.status_code == 201
    answer = response.json()
    assert answer["vote"].items() >= recorded.items()
    assert (answer["results"]["counts"], answer["results"]["votes"]) == (counts, votes)
    assert ballot(voter, poll, body).json()["vote"] == answer["vote"]
    assert recount_poll(Poll.objects.get().id) == []


@pytest.mark.parametrize(
    ("fields", "body", "status", "code"),
    [
        ({}, {"choices": [4]}, 422, "invalid_option"),
        ({}, {"choices": []}, 422, "too_few_choices"),
        ({}, {"choices": [1, 2]}, 422, "too_many_choices"),
        ({}, {"choices": [1, 1]}, 422, "duplicate_choices"),
        ({}, {"choices": ["1"]}, 400, "malformed"),
        ({}, {"choices": "1"}, 400, "malformed"),
        ({}, {"ratings": {"1": 5}}, 400, "malformed"),
        ({}, {"choices": [1], "voter_code": 5}, 400, "malformed"),
        ({"kind": "multiple", "min_choices": 2}, {"choices": [1]}, 422, "too_few_choices"),
        (
            {"kind": "multiple", "max_choices": 2},
            {"choices": [1, 2, 3]},
            422,
            "too_many_choices",
        ),
        ({"kind": "ranked"}, {"choices": [1, 2, 1]}, 422, "duplicate_choices"),
        ({"kind": "rating"}, {"ratings": {"4": 5}}, 422, "invalid_option"),
        ({"kind": "rating"}, {"ratings": {}}, 422, "too_few_choices"),
        ({"kind": "rating"}, {"ratings": {"1": 6}}, 400, "malformed"),
        ({"kind": "rating"}, {"choices": [1]}, 400, "malformed"),
    ],
    ids=repr,
)
def test_a_ballot_against_the_rules_is_refused(
    owner: Person, voter: Person, fields: Json, body: Json, status: int, code: str
) -> None:
    poll = owner.make_poll("A", "B", "C", **fields)
    assert refusal(ballot(voter, poll, body)) == (status, code)
    assert voter.results(poll)["version"] == 0


def test_a_vote_names_its_poll_by_code_too(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['code'].lower()}/votes/"
    assert voter.post(path, {"choices": [1]}).json()["vote"]["poll"] == poll["id"]
    assert refusal(voter.post("/api/v1/polls/K7QM2X/votes/", {"choices": [1]})) == (
        404,
        "poll_not_found",
    )


def test_the_same_vote_again_is_answered_with_the_recorded_one(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    first = voter.vote(poll, 2)
    again = voter.vote(poll, 2)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["vote"] == first.json()["vote"]
    assert again.json()["voter_token"] == first.json()["voter_token"]
    assert voter.results(poll)["version"] == 1


def test_a_retry_gets_its_answer_even_when_the_poll_has_closed(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    first = voter.vote(poll, 2)
    owner.act(poll, "close")
    again = voter.vote(poll, 2)
    assert again.status_code == 200
    assert again.json()["vote"] == first.json()["vote"]
    assert again.json()["results"]["final"] is True


def test_a_different_second_vote_is_refused_with_the_first_one(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    first = voter.vote(poll, 2).json()["vote"]
    second = voter.vote(poll, 1)
    assert refusal(second) == (409, "already_voted")
    assert second.json()["vote"] == first
    assert voter.results(poll)["counts"] == {"1": 0, "2": 1}


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("single", {"choices": [1]}, {"choices": [2]}),
        ("multiple", {"choices": [1, 2]}, {"choices": [2, 3]}),
        ("ranked", {"choices": [1, 2]}, {"choices": [2, 1]}),
        ("rating", {"ratings": {"1": 5}}, {"ratings": {"1": 4, "3": 1}}),
    ],
)
def test_a_vote_is_replaced_where_changes_are_allowed(
    owner: Person, voter: Person, neighbour: Person, kind: str, first: Json, second: Json
) -> None:
    poll = owner.make_poll("A", "B", "C", kind=kind, vote_change=True)
    ballot(neighbour, poll, first)
    ballot(voter, poll, first)

    replaced = ballot(voter, poll, second)

    assert replaced.status_code == 200
    answer = replaced.json()
    assert answer["vote"].items() >= (second | {"seq": 3}).items()
    assert (answer["results"]["version"], answer["results"]["voters"]) == (3, 2)
    assert recount_poll(Poll.objects.get().id) == []
    history = Vote.objects.order_by("seq").values_list("seq", "is_current", "replaces")
    assert list(history) == [(1, True, None), (2, False, None), (3, True, 2)]


def test_a_closed_poll_allows_no_change(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(vote_change=True)
    voter.vote(poll, 1)
    owner.act(poll, "close")
    assert refusal(voter.vote(poll, 2)) == (409, "poll_closed")


def test_a_device_without_a_token_gets_one_as_cookie_and_in_the_body(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    response = voter.vote(poll, 1)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"voter={response.json()['voter_token']};")
    assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert "set-cookie" not in voter.vote(poll, 1).headers


def test_a_device_is_one_voter_in_every_poll_but_stored_differently(
    owner: Person, voter: Person
) -> None:
    polls = [owner.make_poll(), owner.make_poll()]
    tokens = {voter.vote(poll, 1).json()["voter_token"] for poll in polls}
    assert len(tokens) == 1
    assert len(set(Vote.objects.values_list("voter", flat=True))) == 2


def test_a_voter_token_is_minted_on_request_and_names_its_voter(
    owner: Person, outsider: Person, site: Site
) -> None:
    poll = owner.make_poll()
    minted = outsider.post("/api/v1/voters/")
    assert minted.status_code == 201
    headers = token(minted.json()["voter_token"])

    first = outsider.vote(poll, 1, **headers)
    elsewhere = site.person().vote(poll, 1, **headers)

    assert (first.status_code, elsewhere.status_code) == (201, 200)
    assert elsewhere.json()["vote"] == first.json()["vote"]
    assert first.json()["voter_token"] == minted.json()["voter_token"]
    other = outsider.post("/api/v1/voters/").json()["voter_token"]
    assert outsider.vote(poll, 1, **token(other)).status_code == 201


def test_the_authorization_header_goes_before_the_cookie(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    theirs = neighbour.vote(poll, 2).json()
    assert voter.vote(poll, 2, **token(theirs["voter_token"])).json()["vote"] == theirs["vote"]


@pytest.mark.parametrize("forged", ["x", "a.b", "", ".", "é.é", "x" * 4000])
def test_a_forged_token_is_refused(owner: Person, voter: Person, forged: str) -> None:
    poll = owner.make_poll()
    real = voter.post("/api/v1/voters/").json()["voter_token"]
    device, _, signature = real.partition(".")
    for text in (forged, f"{device}.{forged}", f"{forged}.{signature}"):
        headers = {"Authorization": f"Voter {text}".encode("latin-1")}
        path = f"/api/v1/polls/{poll['id']}/votes/"
        response = voter.request("POST", path, json={"choices": [1]}, headers=headers)
        assert refusal(response) == (401, "invalid_token")
        assert "set-cookie" not in response.headers
    assert voter.results(poll)["version"] == 0


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer owner_x"}])
def test_a_forged_cookie_is_refused_and_cleared(
    owner: Person, voter: Person, headers: dict[str, str]
) -> None:
    poll = owner.make_poll()
    voter.cookies.set("voter", "forged.cookie", domain="localhost.local", path="/")
    response = voter.vote(poll, 1, **headers)
    assert refusal(response) == (401, "invalid_token")
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert voter.vote(poll, 1).status_code == 201


@pytest.mark.parametrize("scheme", ["Basic dTpw", "Token x", "Digest"])
def test_an_unknown_scheme_is_refused(owner: Person, voter: Person, scheme: str) -> None:
    poll = owner.make_poll()
    assert refusal(voter.vote(poll, 1, Authorization=scheme)) == (401, "invalid_token")


def test_a_retry_with_the_same_idempotency_key_is_the_same_voter(owner: Person, site: Site) -> None:
    poll = owner.make_poll()
    first = site.person().vote(poll, 2, Idempotency_Key="one")
    again = site.person().vote(poll, 2, Idempotency_Key="one")
    other = site.person().vote(poll, 2, Idempotency_Key="two")
    assert [one.status_code for one in (first, again, other)] == [201, 200, 201]
    assert again.json()["vote"] == first.json()["vote"]
    assert again.json()["voter_token"] == first.json()["voter_token"]
    assert other.json()["vote"]["seq"] == 2
    changed = site.person().vote(poll, 1, Idempotency_Key="one")
    assert refusal(changed) == (409, "already_voted")


def test_an_idempotency_key_does_not_change_who_a_known_voter_is(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1, Idempotency_Key="one")
    assert refusal(voter.vote(poll, 2, Idempotency_Key="two")) == (409, "already_voted")


def test_an_idempotency_key_has_a_bounded_length(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    assert refusal(voter.vote(poll, 1, Idempotency_Key="k" * 201)) == (400, "malformed")
    assert voter.vote(poll, 1, Idempotency_Key="k" * 200).status_code == 201


def test_in_an_open_poll_every_request_is_a_vote_but_a_retry_is_not(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll(voter_policy="open")
    statuses = [voter.vote(poll, 1).status_code for _ in range(2)]
    statuses += [voter.vote(poll, 1, Idempotency_Key="one").status_code for _ in range(2)]
    assert statuses == [201, 201, 201, 200]
    assert voter.results(poll)["counts"] == {"1": 3, "2": 0}


def test_in_an_ip_poll_an_address_is_a_voter(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll(voter_policy="ip")
    assert voter.vote(poll, 1).status_code == 201
    forged = {"X-Forwarded-For": "203.0.113.9"}
    assert refusal(neighbour.vote(poll, 2, **forged)) == (409, "already_voted")


def test_an_account_poll_wants_an_account(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(voter_policy="account")
    assert refusal(voter.vote(poll, 1)) == (401, "voter_required")
    account = {"username": "vera", "password": "correct horse 7"}
    access = voter.post("/api/v1/accounts/", account).json()["access"]
    headers = {"Authorization": f"Bearer {access}"}
    assert voter.vote(poll, 1, **headers).status_code == 201
    assert refusal(voter.vote(poll, 2, **headers)) == (409, "already_voted")
    me = voter.get(f"/api/v1/polls/{poll['id']}/votes/me/", headers=headers)
    assert me.json()["vote"]["choices"] == [1]


def test_a_code_counts_once_and_only_if_it_was_given_out(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll(voter_policy="code", vote_change=False)
    path = f"/api/v1/polls/{poll['id']}/voter-codes/"
    codes = owner.post(path, {"count": 2}, headers=owner.key_of(poll)).json()["codes"]
    used, unused = codes[0]["code"], codes[1]

    assert refusal(voter.vote(poll, 1)) == (401, "voter_required")
    unknown = ballot(voter, poll, {"choices": [1], "voter_code": "AAAA-AAAA"})
    assert refusal(unknown) == (403, "invalid_voter_code")
    assert ballot(voter, poll, {"choices": [1], "voter_code": used}).status_code == 201
    lower = {"choices": [1], "voter_code": used.lower().replace("-", " ")}
    assert ballot(voter, poll, lower).status_code == 200
    other = ballot(neighbour, poll, {"choices": [2], "voter_code": used})
    assert refusal(other) == (409, "already_voted")

    revoked = owner.post(
        f"{path}revoke/", {"numbers": [unused["number"]]}, headers=owner.key_of(poll)
    )
    assert revoked.json() == {"revoked": 1}
    late = ballot(voter, poll, {"choices": [1], "voter_code": unused["code"]})
    assert refusal(late) == (403, "invalid_voter_code")
    listed = owner.get(path, headers=owner.key_of(poll))
    assert used not in listed.text
    assert [code["used"] for code in listed.json()["results"]] == [True, False]
    assert owner.results(poll)["counts"] == {"1": 1, "2": 0}


def test_your_own_vote(owner: Person, voter: Person, neighbour: Person) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['id']}/votes/me/"
    assert refusal(voter.get(path)) == (404, "not_voted")
    cast = voter.vote(poll, 2).json()
    assert voter.get(path).json() == {"vote": cast["vote"]}
    assert neighbour.get(path, headers=token(cast["voter_token"])).json()["vote"] == cast["vote"]
    assert refusal(neighbour.get(path)) == (404, "not_voted")
    assert refusal(neighbour.get(path, headers=token("x"))) == (401, "invalid_token")


def test_a_vote_can_be_taken_back_where_changes_are_allowed(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll(vote_change=True)
    path = f"/api/v1/polls/{poll['id']}/votes/me/"
    voter.vote(poll, 1)
    neighbour.vote(poll, 1)

    response = voter.delete(path)

    assert (response.status_code, response.content) == (204, b"")
    assert refusal(voter.get(path)) == (404, "not_voted")
    assert refusal(voter.delete(path)) == (404, "not_voted")
    results = voter.results(poll)
    assert (results["version"], results["voters"], results["counts"]) == (3, 1, {"1": 1, "2": 0})
    again = voter.vote(poll, 2)
    assert (again.status_code, again.json()["vote"]["seq"]) == (201, 4)
    assert recount_poll(Poll.objects.get().id) == []


def test_a_vote_stays_where_changes_are_off(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    path = f"/api/v1/polls/{poll['id']}/votes/me/"
    assert refusal(voter.delete(path)) == (409, "vote_change_off")
    assert voter.get(path).status_code == 200


@pytest.mark.parametrize(("act", "code"), [("pause", "poll_not_open"), ("close", "poll_closed")])
def test_a_vote_stays_where_the_poll_is_not_open(
    owner: Person, voter: Person, act: str, code: str
) -> None:
    poll = owner.make_poll(vote_change=True)
    voter.vote(poll, 1)
    owner.act(poll, act)
    assert refusal(voter.delete(f"/api/v1/polls/{poll['id']}/votes/me/")) == (409, code)


def test_a_body_of_sixteen_kilobytes_is_taken_and_a_longer_one_is_not(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['id']}/votes/"
    headers = {"Content-Type": "application/json; charset=utf-8"}
    body = json.dumps({"choices": [1]}).encode()
    too_long = voter.request("POST", path, content=body.ljust(16 * 1024 + 1), headers=headers)
    assert refusal(too_long) == (413, "too_large")
    fits = voter.request("POST", path, content=body.ljust(16 * 1024), headers=headers)
    assert fits.status_code == 201


def test_a_vote_counts_when_a_receiver_of_events_fails(
    owner: Person, voter: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no listener")

    monkeypatch.setattr("realtime.publisher.messages.tally", fail)
    poll = owner.make_poll()
    assert voter.vote(poll, 1).status_code == 201
    assert voter.results(poll)["voters"] == 1
