"""PATCH and DELETE /api/v1/polls/{id}/"""

from datetime import datetime, timedelta
from typing import Any

import pytest

from polls.models import Option, Poll, Vote
from tests.polls.people import Json, Person, field_errors, refusal


def edit(person: Person, poll: Json, **changes: Any) -> Any:
    return person.patch(f"/api/v1/polls/{poll['id']}/", changes, headers=person.key_of(poll))


def texts(poll: Json) -> dict[int, str]:
    """Option id → text, in the order in which they are shown."""
    return {option["id"]: option["text"] for option in poll["options"]}


def test_only_the_owner_edits_and_deletes(owner: Person, neighbour: Person) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['id']}/"
    others = neighbour.key_of(neighbour.make_poll())

    for method, body in (("PATCH", {"question": "Mine?"}), ("DELETE", None)):
        assert refusal(neighbour.request(method, path, json=body)) == (401, "owner_required")
        for key in (others, {"Authorization": "Bearer owner_x"}):
            answer = neighbour.request(method, path, json=body, headers=key)
            assert refusal(answer) == (403, "not_owner")
    assert owner.get(path).json() == poll


def test_a_join_code_is_no_owner_key(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll()
    for guess in (poll["code"], poll["id"]):
        key = {"Authorization": f"Bearer {guess}"}
        response = outsider.delete(f"/api/v1/polls/{poll['code']}/", headers=key)
        assert refusal(response) == (401, "invalid_token")


def test_what_is_left_out_stays(owner: Person) -> None:
    poll = owner.make_poll(description="Old")
    response = edit(owner, poll, question="Blue?", description="", results_visibility="owner")
    assert response.status_code == 200
    assert response.json() == poll | {
        "question": "Blue?",
        "description": "",
        "results_visibility": "owner",
    }
    assert owner.get(f"/api/v1/polls/{poll['id']}/").json() == response.json()


def test_an_empty_edit_changes_nothing(owner: Person) -> None:
    poll = owner.make_poll()
    assert edit(owner, poll).json() == poll
    assert Poll.objects.get(id=poll["id"]).revision == 1


def test_ids_codes_tallies_and_keys_cannot_be_edited(owner: Person) -> None:
    poll = owner.make_poll()
    response = edit(
        owner, poll, id="x", code="AAAAAA", version=9, voters=9, counts={"1": 9}, status="closed",
        owner_key_hash="", epoch=7, closed_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    assert response.json() == poll


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"question": ""}, [("question", "blank")]),
        ({"options": ["One"]}, [("options", "min_length")]),
        ({"options": ["One", "One"]}, [("options", "duplicate")]),
        ({"options": [{"id": 0, "text": "One"}, "Two"]}, [("options.0.id", "min_value")]),
        ({"options": ["One", {"id": 2}]}, [("options.1.text", "required")]),
        ({"options": [{}, "Two"]}, [("options.0.text", "required")]),
        ({"kind": "guess"}, [("kind", "invalid_choice")]),
        ({"max_choices": 2}, [("max_choices", "max_value")]),
        ({"min_choices": 2}, [("min_choices", "max_value")]),
        ({"closes_at": "2020-01-01T00:00:00Z"}, [("closes_at", "invalid")]),
        ({"closes_at": "2199-01-01T00:00:00Z", "duration": 5}, [("duration", "invalid")]),
        ({"opens_at": "9999-12-31T23:59:59Z", "duration": 60}, [("duration", "invalid")]),
    ],
    ids=repr,
)
def test_a_field_that_is_wrong_is_named(
    owner: Person, changes: Json, errors: list[tuple[str, str]]
) -> None:
    poll = owner.make_poll()
    assert field_errors(edit(owner, poll, **changes)) == errors
    assert owner.get(f"/api/v1/polls/{poll['id']}/").json() == poll


def test_a_later_opening_that_leaves_no_time_for_the_duration_is_refused(owner: Person) -> None:
    poll = owner.make_poll(duration=3600)
    response = edit(owner, poll, opens_at="9999-12-31T23:59:59Z")
    assert field_errors(response) == [("duration", "invalid")]


def test_an_opening_after_the_standing_close_is_refused(owner: Person) -> None:
    poll = owner.make_poll(closes_at="2199-01-01T00:00:00Z")
    response = edit(owner, poll, opens_at="2199-06-01T00:00:00Z")
    assert field_errors(response) == [("closes_at", "invalid")]


def test_options_are_free_before_the_first_vote(owner: Person, voter: Person) -> None:
    poll = owner.make_poll("Red", "Green", "Blue")
    changed = edit(owner, poll, options=["Blue", "Pink", "Red"]).json()
    assert texts(changed) == {3: "Blue", 4: "Pink", 1: "Red"}
    assert owner.results(poll)["counts"] == {"1": 0, "3": 0, "4": 0}
    assert refusal(voter.vote(poll, 2)) == (422, "invalid_option")
    assert voter.vote(poll, 4).json()["vote"]["choices"] == [4]


def test_an_option_id_never_gets_another_text(owner: Person) -> None:
    poll = owner.make_poll("Red", "Green")
    edit(owner, poll, options=["Red", "Blue"])
    edit(owner, poll, options=["Cyan", "Pink"])
    again = edit(owner, poll, options=["Green", "Black", "Blue"]).json()
    assert texts(again) == {2: "Green", 6: "Black", 3: "Blue"}
    numbers = Option.objects.filter(poll=poll["id"]).values_list("number", "text")
    assert dict(numbers) == {1: "Red", 2: "Green", 3: "Blue", 4: "Cyan", 5: "Pink", 6: "Black"}


def test_fewer_options_leave_a_poll_that_can_be_voted_in(owner: Person, voter: Person) -> None:
    poll = owner.make_poll("A", "B", "C", "D", kind="multiple", min_choices=3)
    changed = edit(owner, poll, options=["A", "B"]).json()
    assert (changed["min_choices"], changed["max_choices"]) == (2, 2)
    assert voter.vote(poll, 1, 2).status_code == 201


def test_the_rules_are_free_before_the_first_vote(owner: Person, voter: Person) -> None:
    poll = owner.make_poll("A", "B", "C")
    changed = edit(owner, poll, kind="multiple", min_choices=2).json()
    assert (changed["kind"], changed["min_choices"], changed["max_choices"]) == ("multiple", 2, 3)
    assert voter.vote(poll, 1, 3).status_code == 201


def test_a_poll_can_become_a_rating_poll_before_the_first_vote(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    assert edit(owner, poll, kind="rating").status_code == 200
    path = f"/api/v1/polls/{poll['id']}/votes/"
    assert voter.post(path, {"ratings": {"1": 4}}).json()["results"]["means"]["1"] == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"options": ["Red", "Green", "Blue"]},
        {"options": [{"id": 1, "text": "Red"}, {"id": 3, "text": "Green"}]},
        {"options": [{"id": 1, "text": "Red"}, {"id": 1, "text": "Green"}]},
        {"options": [{"id": 1, "text": "Red"}, {"text": "Green"}]},
        {"kind": "multiple"},
        {"voter_policy": "open"},
        {"kind": "multiple", "max_choices": 2},
    ],
    ids=repr,
)
def test_neither_rules_nor_options_change_under_cast_votes(
    owner: Person, voter: Person, changes: Json
) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    before = owner.get(f"/api/v1/polls/{poll['id']}/").json()
    assert refusal(edit(owner, poll, **changes)) == (409, "poll_has_votes")
    assert owner.get(f"/api/v1/polls/{poll['id']}/").json() == before


def test_the_wording_of_options_may_be_corrected_after_votes(owner: Person, voter: Person) -> None:
    poll = owner.make_poll("Red", "Gren")
    voter.vote(poll, 2)
    changed = edit(owner, poll, options=["Red", "Green"]).json()
    assert texts(changed) == {1: "Red", 2: "Green"}
    assert owner.results(poll)["counts"] == {"1": 0, "2": 1}


def test_options_may_be_put_in_another_order_after_votes(owner: Person, voter: Person) -> None:
    poll = owner.make_poll("Red", "Gren")
    voter.vote(poll, 2)
    options = [{"id": 2, "text": "Green"}, {"id": 1, "text": "Red"}]
    changed = edit(owner, poll, options=options).json()
    assert changed["options"] == options
    assert owner.results(poll)["counts"] == {"1": 0, "2": 1}


def test_rules_that_stay_as_they_are_may_be_sent_again(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    same = {name: poll[name] for name in ("kind", "min_choices", "max_choices", "voter_policy")}
    assert edit(owner, poll, **same, question="New?").json()["question"] == "New?"


def test_an_edit_does_not_move_the_version(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    assert edit(owner, poll, question="New?").json()["version"] == 1


def test_a_new_duration_runs_from_the_opening(owner: Person) -> None:
    poll = owner.make_poll(opens_at="2199-01-01T00:00:00Z")
    changed = edit(owner, poll, duration=3600).json()
    assert (changed["duration"], changed["closes_at"]) == (3600, "2199-01-01T01:00:00.000Z")
    later = edit(owner, poll, opens_at="2199-01-02T00:00:00Z").json()
    assert later["closes_at"] == "2199-01-02T01:00:00.000Z"
    fixed = edit(owner, poll, closes_at="2199-02-01T00:00:00Z").json()
    assert (fixed["duration"], fixed["closes_at"]) == (None, "2199-02-01T00:00:00.000Z")


def test_closes_at_may_be_taken_away(owner: Person) -> None:
    poll = owner.make_poll(closes_at="2199-01-01T00:00:00Z")
    assert edit(owner, poll, closes_at=None).json()["closes_at"] is None


def test_a_duration_given_to_an_open_poll_runs_from_now(owner: Person) -> None:
    poll = owner.make_poll()
    closes_at = datetime.fromisoformat(edit(owner, poll, duration=60).json()["closes_at"])
    left = closes_at - datetime.fromisoformat(poll["created_at"])
    assert timedelta(seconds=60) <= left < timedelta(seconds=90)


def test_a_deleted_poll_is_gone_with_its_votes(owner: Person, voter: Person) -> None:
    poll, other = owner.make_poll(), owner.make_poll()
    voter.vote(poll, 1)
    voter.vote(other, 1)
    path = f"/api/v1/polls/{poll['id']}/"

    response = owner.delete(path, headers=owner.key_of(poll))

    assert (response.status_code, response.content) == (204, b"")
    assert refusal(owner.get(path)) == (404, "poll_not_found")
    assert refusal(owner.delete(path, headers=owner.key_of(poll))) == (404, "poll_not_found")
    assert refusal(voter.vote(poll, 1)) == (404, "poll_not_found")
    assert refusal(voter.get(f"{path}results/")) == (404, "poll_not_found")
    assert Vote.objects.filter(poll=poll["id"]).count() == 0
    assert owner.results(other)["voters"] == 1
