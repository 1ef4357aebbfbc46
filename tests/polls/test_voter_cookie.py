"""The voter cookie and `POST /voters/`, by which pages ask for it before they vote."""

from http.cookies import SimpleCookie

import httpx
import pytest

from polls.identity.voters import mint_device, read_token, token_of
from tests.polls.people import Person, Site, refusal

VOTERS = "/api/v1/voters/"
SECURE = "https://localhost"


def cookies_of(response: httpx.Response) -> SimpleCookie:
    cookies: SimpleCookie = SimpleCookie()
    for value in response.headers.get_list("set-cookie"):
        cookies.load(value)
    return cookies


def cookie(name: str, token: str) -> dict[str, str]:
    return {"Cookie": f"{name}={token}"}


@pytest.mark.parametrize(("origin", "name"), [("", "voter"), (SECURE, "__Host-voter")])
def test_no_script_reads_it_and_under_tls_no_other_host_sets_it(
    owner: Person, voter: Person, origin: str, name: str
) -> None:
    poll = owner.make_poll()
    answers = [
        voter.post(f"{origin}/api/v1/polls/{poll['id']}/votes/", {"choices": [1]}),
        voter.post(f"{origin}{VOTERS}", {"cookie": True}),
    ]
    for answer in answers:
        [(found, morsel)] = cookies_of(answer).items()
        assert (found, morsel["path"], morsel["domain"]) == (name, "/", "")
        assert (bool(morsel["httponly"]), morsel["samesite"]) == (True, "Lax")
        assert bool(morsel["secure"]) == bool(origin)


@pytest.mark.parametrize("origin", ["", SECURE])
@pytest.mark.parametrize("name", ["voter", "__Host-voter"])
def test_both_names_are_read(owner: Person, site: Site, origin: str, name: str) -> None:
    poll = owner.make_poll()
    path = f"{origin}/api/v1/polls/{poll['id']}/votes/"
    headers = cookie(name, token_of(mint_device()))
    seen = [site.person().post(path, {"choices": [1]}, headers) for _ in range(2)]
    assert [one.status_code for one in seen] == [201, 200]
    assert not cookies_of(seen[1])
    me = site.person().get(f"{path}me/", headers)
    assert me.json()["vote"]["seq"] == 1


def test_the_one_that_no_other_host_can_set_comes_first(owner: Person, site: Site) -> None:
    poll = owner.make_poll()
    own, planted = token_of(mint_device()), token_of(mint_device())
    both = {"Cookie": f"voter={planted}; __Host-voter={own}"}
    vote = site.person().post(f"{SECURE}/api/v1/polls/{poll['id']}/votes/", {"choices": [1]}, both)
    assert vote.json()["voter_token"] == own


@pytest.mark.parametrize("path", ["votes/", "votes/me/"])
def test_a_cookie_that_is_none_of_ours_is_cleared_under_both_names(
    owner: Person, voter: Person, path: str
) -> None:
    """By the raw endpoint and by Django's."""
    poll = owner.make_poll()
    method = "GET" if path.endswith("me/") else "POST"
    answer = voter.request(
        method, f"/api/v1/polls/{poll['id']}/{path}", headers=cookie("__Host-voter", "x.y"),
        json=None if method == "GET" else {"choices": [1]},
    )  # fmt: skip
    assert refusal(answer) == (401, "invalid_token")
    cleared = cookies_of(answer)
    assert {name: morsel["max-age"] for name, morsel in cleared.items()} == {
        "voter": "0",
        "__Host-voter": "0",
    }
    assert cleared["__Host-voter"]["secure"]


def test_a_new_token_is_in_the_body_and_no_cookie(voter: Person) -> None:
    tokens = []
    for body in (None, {}, {"cookie": False}):
        answer = voter.post(VOTERS, body)
        assert (answer.status_code, "set-cookie" in answer.headers) == (201, False)
        tokens.append(read_token(answer.json()["voter_token"]))
    assert len(set(tokens)) == 3


def test_a_page_gets_its_cookie_and_keeps_the_one_it_has(voter: Person) -> None:
    first = voter.post(VOTERS, {"cookie": True})
    assert (first.status_code, first.content) == (204, b"")
    device = read_token(cookies_of(first)["voter"].value)
    assert read_token(cookies_of(voter.post(VOTERS, {"cookie": True}))["voter"].value) == device


def test_a_token_of_an_older_page_becomes_the_cookie(voter: Person) -> None:
    """It was sent with every request, so it is the voter that this browser has been."""
    voter.post(VOTERS, {"cookie": True})
    token = token_of(mint_device())
    handed = voter.post(VOTERS, {"cookie": True}, {"Authorization": f"Voter {token}"})
    assert cookies_of(handed)["voter"].value == token
    forged = voter.post(VOTERS, {"cookie": True}, {"Authorization": "Voter x.y"})
    assert refusal(forged) == (401, "invalid_token")
    assert "set-cookie" not in forged.headers


@pytest.mark.parametrize("body", [{"cookie": 1}, {"cookie": "yes"}, [], "x"])
def test_anything_else_is_malformed(voter: Person, body: object) -> None:
    assert refusal(voter.post(VOTERS, body)) == (400, "malformed")


def test_asking_moves_a_browser_that_comes_by_tls_now_to_the_safer_name(voter: Person) -> None:
    token = token_of(mint_device())
    moved = voter.post(f"{SECURE}{VOTERS}", {"cookie": True}, cookie("voter", token))
    assert cookies_of(moved)["__Host-voter"].value == token
