"""What depends on the caller is kept by no cache."""

import pytest

from tests.polls.people import Json, Person

# Method, path below the poll's, and a body.
OF_A_POLL = [
    ("PATCH", "", {}),
    ("POST", "votes/", {"choices": [1]}),
    ("POST", "votes/", {"choices": [9]}),
    ("GET", "votes/me/", None),
    ("DELETE", "votes/me/", None),
    ("GET", "timeline/", None),
    ("GET", "corrections/", None),
    ("POST", "open/", None),
    ("POST", "clone/", None),
    ("POST", "rotate-key/", None),
    ("GET", "voter-codes/", None),
    ("POST", "voter-codes/", {"count": 1}),
    ("GET", "export/results.csv", None),
    ("GET", "export/votes.csv", None),
    ("GET", "export/report.pdf", None),
    ("GET", "nothing/", None),
]
ELSEWHERE = [
    ("GET", "/api/v1/polls/", None),
    ("POST", "/api/v1/polls/", {"question": "?", "options": ["A", "B"]}),
    ("POST", "/api/v1/voters/", None),
    ("POST", "/api/v1/voters/", {"cookie": True}),
    ("GET", "/api/v1/accounts/me/", None),
    ("POST", "/api/v1/accounts/token/", {"username": "no", "password": "one"}),
]


@pytest.fixture
def poll(owner: Person) -> Json:
    return owner.make_poll(voter_policy="code", results_visibility="after_vote")


def assert_personal(response: object) -> None:
    headers = response.headers  # type: ignore[attr-defined]
    assert headers["cache-control"] == "no-store"
    varies = {name.strip().lower() for name in headers["vary"].split(",")}
    assert varies >= {"authorization", "cookie", "voter-code", "idempotency-key"}


@pytest.mark.parametrize(("method", "path", "body"), OF_A_POLL)
def test_of_a_poll(owner: Person, poll: Json, method: str, path: str, body: Json | None) -> None:
    for headers in (None, owner.key_of(poll)):
        response = owner.request(
            method, f"/api/v1/polls/{poll['id']}/{path}", json=body, headers=headers
        )
        assert_personal(response)


@pytest.mark.parametrize(("method", "path", "body"), ELSEWHERE)
def test_elsewhere(voter: Person, method: str, path: str, body: Json | None) -> None:
    assert_personal(voter.request(method, path, json=body))


@pytest.mark.parametrize("visibility", ["after_vote", "after_close", "owner"])
def test_results_that_only_some_may_see(owner: Person, voter: Person, visibility: str) -> None:
    poll = owner.make_poll(results_visibility=visibility)
    path = f"/api/v1/polls/{poll['id']}/results/"
    assert_personal(voter.get(path))
    seen = owner.get(path, owner.key_of(poll))
    assert_personal(seen)
    same = owner.get(path, owner.key_of(poll) | {"If-None-Match": seen.headers["etag"]})
    assert same.status_code == 304
    assert_personal(same)


def test_what_is_the_same_for_all_is_asked_for_anew(owner: Person) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['id']}/"
    for of in (path, f"{path}results/", f"/p/{poll['code']}/", "/"):
        assert owner.get(of).headers["cache-control"] == "private, no-cache"
    assert_personal(owner.get(path, owner.key_of(poll)))
