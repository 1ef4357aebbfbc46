"""GET /api/v1/polls/{id}/"""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from polls import selectors
from polls.errors import PollNotFound
from polls.models import Poll
from polls.results.reader import PollQuery, read_polls
from tests.polls.people import Person, refusal


def test_a_poll_is_found_by_its_id_and_by_its_code_in_any_case(
    owner: Person, outsider: Person
) -> None:
    poll = owner.make_poll()
    for ref in (poll["id"], poll["id"].upper(), poll["code"], poll["code"].lower()):
        response = outsider.get(f"/api/v1/polls/{ref}/")
        assert response.status_code == 200
        assert response.json() == poll


@pytest.mark.parametrize(
    "ref",
    [
        "2271ec5b-dfc4-45ed-80ae-4320cbbf327c",
        "K7QM2X",
        "0O1IL0",
        "x",
        "%00",
        "K7QM2%00",
        "½½½½½½",
        "a" * 36,
    ],
)
def test_what_is_no_poll_is_not_found(outsider: Person, ref: str) -> None:
    for path in ("", "results/", "votes/me/"):
        assert refusal(outsider.get(f"/api/v1/polls/{ref}/{path}")) == (404, "poll_not_found")


def test_an_unlisted_poll_is_read_by_who_knows_it(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll(listed=False)
    assert outsider.get(f"/api/v1/polls/{poll['code']}/").json() == poll


def test_links_follow_the_host_that_was_asked(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll()
    response = outsider.get(f"/api/v1/polls/{poll['id']}/", headers={"Host": "polls.localhost:81"})
    assert response.json()["links"]["live"] == f"ws://polls.localhost:81/ws/polls/{poll['id']}/"


def test_the_clock_opens_and_closes_a_poll(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll(opens_at="2199-01-01T00:00:00Z", closes_at="2199-01-02T00:00:00Z")
    path = f"/api/v1/polls/{poll['id']}/"
    assert outsider.get(path).json()["status"] == "scheduled"

    an_hour_ago = timezone.now() - timedelta(hours=1)
    Poll.objects.filter(id=poll["id"]).update(opens_at=an_hour_ago)
    assert outsider.get(path).json()["status"] == "open"

    Poll.objects.filter(id=poll["id"]).update(closes_at=an_hour_ago)
    closed = outsider.get(path).json()
    assert closed["status"] == "closed"
    assert closed["closed_at"] == closed["closes_at"]


def test_nobody_sees_the_owner_key_again(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    seen = owner.get(f"/api/v1/polls/{poll['id']}/", headers=owner.key_of(poll))
    assert "owner" not in seen.text


class DeletedOnceRead:
    """Polls that are deleted between the query for them and the one for their options."""

    def __init__(self, polls: list[Poll]) -> None:
        self._polls = polls

    def __iter__(self) -> Iterator[Poll]:
        for poll in self._polls:
            yield Poll.objects.get(id=poll.id)
            poll.delete()


def test_a_poll_that_is_deleted_meanwhile_is_never_shown_without_its_options(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = PollQuery(UUID(owner.make_poll()["id"]), details=True)
    read = selectors.details_of
    monkeypatch.setattr(selectors, "details_of", lambda polls: read(DeletedOnceRead([*polls])))  # type: ignore[arg-type]
    [reading] = read_polls([query])
    assert isinstance(reading, PollNotFound)
