"""The vote page without JavaScript: what stands in its HTML, and votes by its form."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from polls.rules.kinds import KINDS
from tests.polls.conftest import neighbour, owner, site, voter
from tests.polls.kinds.states import option_texts
from tests.polls.people import Json, Person, Site

__all__ = ["neighbour", "owner", "site", "voter"]

OURS = {"Origin": "http://localhost"}
# By kind, what a browser sends of the page's form, and what is recorded.
FORMS: dict[str, tuple[dict[str, Any], Json]] = {
    "single": ({"choice": "2"}, {"choices": [2]}),
    "multiple": ({"choice": ["1", "3"]}, {"choices": [1, 3]}),
    "ranked": ({"rank-1": "2", "rank-2": "", "rank-3": "1"}, {"choices": [3, 1]}),
    "rating": ({"rating-1": "5", "rating-3": "2"}, {"ratings": {"1": 5, "3": 2}}),
}


class Fields(HTMLParser):
    """The names of a page's fields with the values that they can have."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        one = {name: value or "" for name, value in attrs}
        self._select = one.get("name", "") if tag == "select" else self._select
        if tag == "input" and "name" in one:
            self.found.add((one["name"], one.get("value", "")))

    def handle_data(self, data: str) -> None:
        if self._select and data.strip().isdigit():
            self.found.add((self._select, data.strip()))


def make(owner: Person, kind: str = "single", **fields: Any) -> Json:
    return owner.make_poll(*option_texts(kind, 3), kind=kind, **fields)


def page(person: Person, poll: Json, **headers: str) -> str:
    return person.get(f"/p/{poll['code']}/", {"Accept-Language": "en", **headers}).text


def send(
    person: Person, poll: Json, form: dict[str, Any], query: str = "", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()} or OURS
    return person.request("POST", f"/p/{poll['code']}/{query}", data=form, headers=named)


def mine(person: Person, poll: Json) -> Json:
    vote: Json = person.get(f"/api/v1/polls/{poll['id']}/votes/me/").json()["vote"]
    return vote


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_is_a_vote_and_a_double_click_is_one(
    owner: Person, voter: Person, kind: str
) -> None:
    poll = make(owner, kind)
    form, recorded = FORMS[kind]
    fields = Fields(page(voter, poll)).found
    values = {(name, one) for name, given in form.items()
              for one in (given if isinstance(given, list) else [given]) if one}  # fmt: skip
    assert values <= fields
    for _ in range(2):
        counted = send(voter, poll, form)
        assert counted.status_code == 200
        assert "Your vote is counted." in counted.text
        assert counted.headers["cache-control"] == "no-store"
    assert mine(voter, poll).items() >= recorded.items()
    assert owner.results(poll)["voters"] == 1
    assert owner.results(poll)["version"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_options_stand_in_the_page_and_no_figure_does(
    owner: Person, voter: Person, kind: str
) -> None:
    poll = make(owner, kind)
    before = page(voter, poll)
    send(voter, poll, FORMS[kind][0])
    assert page(voter, poll) == before
    for text in option_texts(kind, 3):
        assert before.count(text) >= 2  # in the ballot, and in the poll object


def test_a_poll_that_takes_no_votes_shows_no_ballot(owner: Person, voter: Person) -> None:
    poll = make(owner)
    assert 'name="choice"' in page(voter, poll)
    for act, title in (("pause", "Voting is paused."), ("close", "This poll is closed.")):
        owner.act(poll, act)
        assert title in page(voter, poll)
        assert 'name="choice"' not in page(voter, poll)
        refused = send(voter, poll, {"choice": "1"})
        assert refused.status_code == 409
        assert "not counted" in refused.text


def test_another_vote_is_refused_or_replaces_the_first(owner: Person, voter: Person) -> None:
    for change, status, choice in ((False, 409, 1), (True, 200, 2)):
        poll = make(owner, vote_change=change)
        page(voter, poll)
        send(voter, poll, {"choice": "1"})
        second = send(voter, poll, {"choice": "2"})
        assert second.status_code == status
        assert ("You had voted before" in second.text) is not change
        assert mine(voter, poll)["choices"] == [choice]


@pytest.mark.parametrize(
    ("kind", "form", "text"),
    [
        ("single", {}, "Choose 1."),
        ("single", {"choice": "9"}, "no option"),
        ("single", {"choice": "x"}, "no option"),
        ("single", {"choice": ["1", "2"]}, "Choose 1."),
        ("single", {"choice": "1" * 5000}, "no option"),
        ("ranked", {"rank-1": "1", "rank-2": "1"}, "a number of its own"),
        ("rating", {"rating-1": "6"}, "1 to 5"),
        ("rating", {"choice": "1"}, "ratings"),
    ],
)
def test_a_ballot_that_is_none_is_refused_on_the_page(
    owner: Person, voter: Person, kind: str, form: dict[str, Any], text: str
) -> None:
    poll = make(owner, kind)
    page(voter, poll)
    refused = send(voter, poll, form)
    assert 400 <= refused.status_code < 500
    error = re.search(r'id="ballot-error" role="alert">([^<]*)<', refused.text)
    assert error
    assert text in error[1]
    assert owner.results(poll)["voters"] == 0


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data; boundary=x; charset=rot13", b"--x--", 415),
        ("text/plain", b"choice=1", 415),
        ("application/x-www-form-urlencoded; charset=utf-16", b"choice=1", 400),
        ("application/x-www-form-urlencoded", b"&".join([b"choice=1"] * 2000), 400),
    ],
)
def test_a_body_that_no_form_of_ours_sends_is_refused_without_a_trace(
    owner: Person,
    voter: Person,
    caplog: pytest.LogCaptureFixture,
    content_type: str,
    body: bytes,
    status: int,
) -> None:
    poll = make(owner)
    page(voter, poll)
    sent = OURS | {"Content-Type": content_type}
    refused = voter.request("POST", f"/p/{poll['code']}/", content=body, headers=sent)
    assert refused.status_code == status
    assert 'id="ballot-error"' in refused.text
    assert not [one for one in caplog.records if one.exc_info]
    assert owner.results(poll)["voters"] == 0


def test_a_code_is_asked_for_and_counts_once(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = make(owner, voter_policy="code")
    path = f"/api/v1/polls/{poll['id']}/voter-codes/"
    code = owner.post(path, {"count": 1}, owner.key_of(poll)).json()["codes"][0]["code"]
    for person in (voter, neighbour):
        assert ("voter_code", "") in Fields(page(person, poll)).found
    assert "Enter the voter code" in send(voter, poll, {"choice": "1"}).text
    wrong = send(voter, poll, {"choice": "1", "voter_code": "ABCD-EFGH"})
    assert wrong.status_code == 403
    assert "not valid" in wrong.text
    ballot = {"choice": "1", "voter_code": f" {code.lower()} "}
    assert [send(voter, poll, ballot).status_code for _ in range(2)] == [200, 200]
    assert send(neighbour, poll, ballot).status_code == 409
    assert owner.results(poll)["voters"] == 1


def test_where_all_may_vote_again_each_page_is_one_vote(owner: Person, voter: Person) -> None:
    poll = make(owner, voter_policy="open")
    page(voter, poll)
    counted = [send(voter, poll, {"choice": "1"}) for _ in range(2)][-1]
    assert owner.results(poll)["voters"] == 1
    again = re.search(r'href="(\?again=\w+)"', counted.text)
    assert again
    for _ in range(2):
        assert send(voter, poll, {"choice": "1"}, again[1]).status_code == 200
    assert owner.results(poll)["voters"] == 2


def test_accounts_need_the_script(owner: Person, voter: Person) -> None:
    poll = make(owner, voter_policy="account")
    assert 'name="choice"' not in page(voter, poll)
    assert send(voter, poll, {"choice": "1"}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Nothing": "1"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://allowed.example"},
        {"Origin": "https://allowed.example", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "https://elsewhere.example", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_no_other_site_votes_by_a_form(
    owner: Person, voter: Person, headers: dict[str, str], settings: Any
) -> None:
    """Nor one that may use the API: its forms bring no cookie, and would set a new one."""
    settings.ALLOWED_ORIGINS = ["https://allowed.example"]
    poll = make(owner)
    page(voter, poll)
    assert send(voter, poll, {"choice": "1"}, **headers).status_code == 403
    assert owner.results(poll)["voters"] == 0
    assert send(voter, poll, {"choice": "1"}, Sec_Fetch_Site="same-origin").status_code == 200


@pytest.mark.parametrize("cookie", [None, "nonsense"])
def test_a_browser_without_a_voter_token_gets_one_and_votes_again(
    owner: Person, site: Site, cookie: str | None
) -> None:
    poll, browser = make(owner), site.person()
    if cookie:
        browser.cookies.set("voter", cookie, domain="localhost.local", path="/")
    first = send(browser, poll, {"choice": "1"})
    assert first.status_code in (400, 401)
    assert "voter=" in first.headers["set-cookie"]
    assert owner.results(poll)["voters"] == 0
    token = first.headers["set-cookie"].partition("voter=")[2].partition(";")[0]
    sent = OURS | {"Cookie": f"voter={token}"}
    counted = site.person().request(
        "POST", f"/p/{poll['code']}/", data={"choice": "1"}, headers=sent
    )
    assert counted.status_code == 200


def test_a_form_says_what_it_says_in_the_pages_language(owner: Person, voter: Person) -> None:
    poll = make(owner)
    german = {"Accept-Language": "de", **OURS}
    html = voter.get(f"/p/{poll['code']}/", german).text
    assert "Wähle eine Antwort." in html
    counted = voter.request("POST", f"/p/{poll['code']}/", data={"choice": "1"}, headers=german)
    assert "Deine Stimme ist gez" in counted.text
