"""GET /api/v1/polls/"""

from base64 import b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.utils import timezone

from polls.models import Poll
from polls.rules.poll import Status
from tests.polls.people import Person, field_errors, refusal


def questions(person: Person, path: str) -> list[str]:
    response = person.get(path)
    assert response.status_code == 200, response.text
    return [poll["question"] for poll in response.json()["results"]]


def test_listed_polls_come_newest_first(owner: Person, outsider: Person) -> None:
    first, second = owner.make_poll(question="First"), owner.make_poll(question="Second")
    response = outsider.get("/api/v1/polls/")
    assert response.json() == {"next": None, "previous": None, "results": [second, first]}


def test_unlisted_polls_are_never_listed(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll(question="Secret", listed=False)
    for path in ("", "?q=Secret", "?status=open", "?page_size=100"):
        assert questions(outsider, f"/api/v1/polls/{path}") == []
        assert (
            owner.get(f"/api/v1/polls/{path}", headers=owner.key_of(poll)).json()["results"] == []
        )


def test_polls_are_filtered_by_their_status_now(owner: Person, outsider: Person) -> None:
    now = timezone.now()
    past, future = now - timedelta(hours=1), now + timedelta(hours=1)
    statuses: dict[str, list[dict[str, Any]]] = {
        "scheduled": [{"opens_at": future}, {"opens_at": future, "paused_at": past}],
        "open": [{}, {"opens_at": past, "closes_at": future}],
        "paused": [{"paused_at": past}],
        "closed": [{"closed_at": past}, {"closes_at": past}],
    }
    for status, lives in statuses.items():
        for number, life in enumerate(lives):
            poll = owner.make_poll(question=f"{status} {number}")
            Poll.objects.filter(id=poll["id"]).update(**life)

    for status, lives in statuses.items():
        found = questions(outsider, f"/api/v1/polls/?status={status}")
        assert sorted(found) == [f"{status} {number}" for number in range(len(lives))]
        shown = outsider.get(f"/api/v1/polls/?status={status}").json()["results"]
        assert {poll["status"] for poll in shown} == {status}


def test_drafts_stand_in_no_strangers_list(owner: Person, outsider: Person) -> None:
    """By no status and no words; one that the clock has closed was never shown either."""
    past = timezone.now() - timedelta(hours=1)
    drafts = [owner.make_poll(question="Early", draft=True) for _ in range(2)]
    Poll.objects.filter(id=drafts[1]["id"]).update(closes_at=past)
    account = {"username": "otto", "password": "correct horse 7"}
    stranger = outsider.post("/api/v1/accounts/", account).json()["access"]
    for query in ("", "?q=Early", *(f"?status={one}&q=Early" for one in Status)):
        for headers in ({}, {"Authorization": f"Bearer {stranger}"}):
            page = outsider.get(f"/api/v1/polls/{query}", headers)
            assert page.json()["results"] == [], query


def test_an_account_finds_its_own_drafts(owner: Person) -> None:
    account = {"username": "olga", "password": "correct horse 7"}
    access = owner.post("/api/v1/accounts/", account).json()["access"]
    headers = {"Authorization": f"Bearer {access}"}
    body = {"question": "Mine", "options": ["A", "B"], "draft": True}
    assert owner.post("/api/v1/polls/", body, headers).status_code == 201
    found = owner.get("/api/v1/polls/?status=draft", headers).json()["results"]
    assert [poll["question"] for poll in found] == ["Mine"]


def test_polls_are_found_by_a_part_of_their_question(owner: Person, outsider: Person) -> None:
    owner.make_poll(question="100% tea?")
    owner.make_poll(question="Coffee or tea?")
    owner.make_poll(question="Rum_or gin?")

    assert questions(outsider, "/api/v1/polls/?q=TEA") == ["Coffee or tea?", "100% tea?"]
    assert questions(outsider, "/api/v1/polls/?q=%25") == ["100% tea?"]
    assert questions(outsider, "/api/v1/polls/?q=_") == ["Rum_or gin?"]
    assert questions(outsider, "/api/v1/polls/?q=water") == []
    assert questions(outsider, "/api/v1/polls/?q=tea&status=closed") == []


def test_pages_cover_everything_once_while_new_polls_are_made(
    owner: Person, outsider: Person
) -> None:
    made = [owner.make_poll()["id"] for _ in range(5)]

    previous, pages, path = [], [], "/api/v1/polls/?page_size=2"
    while path:
        page = outsider.get(path).json()
        pages.append([poll["id"] for poll in page["results"]])
        previous.append(page["previous"])
        owner.make_poll(question="new")
        path = page["next"] and page["next"].removeprefix("http://localhost")

    assert pages == [made[4:2:-1], made[2:0:-1], made[:1]]
    back = outsider.get(previous[1].removeprefix("http://localhost")).json()
    assert [poll["id"] for poll in back["results"]] == pages[0]


def test_polls_of_the_same_moment_are_all_found(owner: Person, outsider: Person) -> None:
    made = {owner.make_poll()["id"] for _ in range(5)}
    Poll.objects.update(created_at=timezone.now())

    found, path = [], "/api/v1/polls/?page_size=2"
    while path:
        page = outsider.get(path).json()
        found += [poll["id"] for poll in page["results"]]
        path = page["next"] and page["next"].removeprefix("http://localhost")

    assert len(found) == 5
    assert set(found) == made


def test_a_page_has_twenty_polls_and_never_more_than_a_hundred(
    owner: Person, outsider: Person
) -> None:
    for number in range(101):
        Poll.objects.create(question=str(number), counts={"1": 0, "2": 0})
    assert len(questions(outsider, "/api/v1/polls/")) == 20
    assert len(questions(outsider, "/api/v1/polls/?page_size=100")) == 100
    assert outsider.get("/api/v1/polls/?page_size=101").status_code == 400


@pytest.mark.parametrize("status", ["", "OPEN", "gone", "%00"])
def test_an_unknown_status_is_refused(outsider: Person, status: str) -> None:
    assert field_errors(outsider.get(f"/api/v1/polls/?status={status}")) == [("status", "invalid")]


def test_a_question_with_a_null_character_is_refused(outsider: Person) -> None:
    assert field_errors(outsider.get("/api/v1/polls/?q=a%00b")) == [("q", "invalid")]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        b64encode(b"p=yesterday").decode(),
        b64encode(b"p=2026-13-45").decode(),
        b64encode(b"p=%00").decode(),
        b64encode(b"p=\xff").decode(),
        b64encode(b"o=1").decode(),
        b64encode(b"o=99999999999999999999").decode(),
        b64encode(b"r=1&p=9").decode(),
        b64encode(b"p=2026-05-01T12:00:00").decode(),
        b64encode(b"p=0001-01-01T00:00:00%2B12:00").decode(),
    ],
)
def test_a_cursor_that_is_not_ours_does_no_harm(
    owner: Person, outsider: Person, cursor: str
) -> None:
    owner.make_poll()
    response = outsider.get(f"/api/v1/polls/?cursor={quote(cursor, safe='%')}")
    assert response.status_code == 200 or refusal(response) == (404, "not_found")
