"""POST /api/v1/polls/{id}/open/ | pause/ | close/ | reset/"""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from polls.models import Poll, Vote
from tests.polls.people import Person, refusal

ACTS = ("open", "pause", "close", "reset")


@pytest.mark.parametrize("name", ACTS)
def test_only_the_owner_acts(owner: Person, outsider: Person, name: str) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['id']}/{name}/"
    assert refusal(outsider.post(path)) == (401, "owner_required")
    wrong = {"Authorization": "Bearer owner_x"}
    assert refusal(outsider.post(path, headers=wrong)) == (403, "not_owner")
    assert owner.get(f"/api/v1/polls/{poll['id']}/").json() == poll


@pytest.mark.parametrize("name", ACTS)
def test_an_act_on_no_poll_is_not_found(outsider: Person, name: str) -> None:
    assert refusal(outsider.post(f"/api/v1/polls/K7QM2X/{name}/")) == (404, "poll_not_found")


@pytest.mark.parametrize("name", ACTS)
def test_an_act_answers_with_the_poll_and_takes_its_code_too(owner: Person, name: str) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['code'].lower()}/{name}/"
    response = owner.post(path, headers=owner.key_of(poll))
    assert response.status_code == 200
    assert response.json() == owner.get(f"/api/v1/polls/{poll['id']}/").json()


def test_a_paused_poll_takes_votes_again_once_it_is_opened(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    assert owner.act(poll, "pause").json()["status"] == "paused"
    assert refusal(voter.vote(poll, 1)) == (409, "poll_not_open")
    assert owner.act(poll, "pause").json()["status"] == "paused"
    assert owner.act(poll, "open").json()["status"] == "open"
    assert voter.vote(poll, 1).status_code == 201


def test_closing_twice_is_fine_and_keeps_the_first_moment(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    closed = owner.act(poll, "close").json()
    assert closed["status"] == "closed"
    assert closed["closed_at"] is not None
    assert owner.act(poll, "close").json() == closed
    assert refusal(voter.vote(poll, 1)) == (409, "poll_closed")
    assert voter.results(poll)["final"] is True


def test_a_closed_poll_can_be_opened_again(owner: Person, voter: Person, neighbour: Person) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    owner.act(poll, "close")
    opened = owner.act(poll, "open").json()
    assert (opened["status"], opened["closed_at"]) == ("open", None)
    assert neighbour.vote(poll, 2).json()["vote"]["seq"] == 2
    assert voter.results(poll)["final"] is False


def test_opening_an_open_poll_changes_nothing(owner: Person) -> None:
    poll = owner.make_poll(duration=60)
    assert owner.act(poll, "open").json() == poll


def test_a_draft_opens_and_its_duration_starts(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(draft=True, duration=60)
    opened = owner.act(poll, "open").json()
    left = datetime.fromisoformat(opened["closes_at"]) - timezone.now()
    assert opened["status"] == "open"
    assert timedelta(seconds=30) < left <= timedelta(seconds=60)
    assert voter.vote(poll, 1).status_code == 201


def test_a_scheduled_poll_can_be_opened_early(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(opens_at="2199-01-01T00:00:00Z", closes_at="2199-01-02T00:00:00Z")
    assert refusal(voter.vote(poll, 1)) == (409, "poll_not_open")
    opened = owner.act(poll, "open").json()
    assert (opened["status"], opened["closes_at"]) == ("open", "2199-01-02T00:00:00.000Z")
    assert voter.vote(poll, 1).status_code == 201


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"draft": True}, "poll_not_open"),
        ({"opens_at": "2199-01-01T00:00:00Z"}, "poll_not_open"),
        ({"closed": True}, "poll_closed"),
    ],
)
def test_there_is_nothing_to_pause_in_a_poll_that_does_not_run(
    owner: Person, fields: dict[str, object], code: str
) -> None:
    is_closed = fields.pop("closed", False)
    poll = owner.make_poll(**fields)
    if is_closed:
        owner.act(poll, "close")
    assert refusal(owner.act(poll, "pause")) == (409, code)


def test_the_clock_closes_a_poll_for_good(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(duration=60)
    voter.vote(poll, 1)
    due = timezone.now() - timedelta(seconds=1)
    Poll.objects.filter(id=poll["id"]).update(closes_at=due)

    results = voter.results(poll)
    assert (results["status"], results["final"]) == ("closed", True)
    assert Poll.objects.get(id=poll["id"]).closed_at == due
    assert refusal(voter.vote(poll, 2)) == (409, "poll_closed")


def test_closing_a_poll_that_the_clock_has_closed_keeps_the_clocks_moment(owner: Person) -> None:
    poll = owner.make_poll(duration=60)
    due = timezone.now() - timedelta(seconds=1)
    Poll.objects.filter(id=poll["id"]).update(closes_at=due)
    owner.act(poll, "close")
    assert Poll.objects.get(id=poll["id"]).closed_at == due


def test_a_poll_that_the_clock_has_closed_opens_for_its_duration_again(owner: Person) -> None:
    poll = owner.make_poll(duration=60)
    Poll.objects.filter(id=poll["id"]).update(closes_at=timezone.now() - timedelta(seconds=1))
    opened = owner.act(poll, "open").json()
    assert opened["status"] == "open"
    assert datetime.fromisoformat(opened["closes_at"]) > timezone.now() + timedelta(seconds=30)


def test_a_poll_opened_after_its_closing_time_stays_open(owner: Person) -> None:
    poll = owner.make_poll(closes_at="2199-01-01T00:00:00Z")
    Poll.objects.filter(id=poll["id"]).update(closes_at=timezone.now() - timedelta(seconds=1))
    opened = owner.act(poll, "open").json()
    assert (opened["status"], opened["closes_at"], opened["closed_at"]) == ("open", None, None)


def test_a_pause_does_not_stop_the_clock(owner: Person) -> None:
    poll = owner.make_poll(duration=60)
    owner.act(poll, "pause")
    assert owner.act(poll, "open").json()["closes_at"] == poll["closes_at"]


def test_a_reset_starts_a_new_epoch_and_keeps_the_old_votes(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)

    again = owner.act(poll, "reset").json()

    assert (again["epoch"], again["version"]) == (2, 0)
    results = voter.results(poll)
    assert (results["epoch"], results["version"], results["voters"]) == (2, 0, 0)
    assert results["counts"] == {"1": 0, "2": 0}
    me = f"/api/v1/polls/{poll['id']}/votes/me/"
    assert refusal(voter.get(me)) == (404, "not_voted")
    voted = voter.vote(poll, 2)
    assert voted.status_code == 201
    assert (voted.json()["vote"]["epoch"], voted.json()["vote"]["seq"]) == (2, 1)
    assert Vote.objects.filter(poll=poll["id"]).count() == 2


def test_acts_do_not_move_the_version(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    assert [owner.act(poll, name).json()["version"] for name in ("pause", "open", "close")] == [
        1, 1, 1,
    ]  # fmt: skip


@pytest.mark.parametrize("is_read_first", [True, False])
def test_an_edit_does_not_open_a_poll_that_the_clock_has_closed(
    owner: Person, voter: Person, *, is_read_first: bool
) -> None:
    """Whether or not it was read since."""
    poll = owner.make_poll("Red", "Green", duration=3600)
    Poll.objects.filter(id=poll["id"]).update(closes_at=timezone.now() - timedelta(seconds=1))
    if is_read_first:
        owner.results(poll)

    edited = owner.patch(f"/api/v1/polls/{poll['id']}/", {"closes_at": None}, owner.key_of(poll))

    assert edited.json()["status"] == "closed"
    assert refusal(voter.vote(poll, 1)) == (409, "poll_closed")
