"""POST /api/v1/polls/"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from polls.models import Poll
from tests.polls.people import Person, field_errors, refusal


def body(**fields: Any) -> dict[str, Any]:
    return {"question": "Red or green?", "options": ["Red", "Green"]} | fields


def in_(**duration: float) -> str:
    moment = datetime.now(UTC) + timedelta(**duration)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_question_and_options_are_enough(owner: Person) -> None:
    response = owner.post("/api/v1/polls/", body())

    assert response.status_code == 201
    poll = response.json()
    assert UUID(poll["id"])
    assert re.fullmatch(r"[2-9A-HJKMNP-Z]{6}", poll["code"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", poll["created_at"])
    assert poll["owner_key"]
    api = f"http://localhost/api/v1/polls/{poll['id']}/"
    assert response.headers["location"] == api
    assert poll["links"] == {
        "self": api,
        "results": f"{api}results/",
        "votes": f"{api}votes/",
        "live": f"ws://localhost/ws/polls/{poll['id']}/",
        "vote_page": f"http://localhost/p/{poll['code']}/",
        "dashboard": f"http://localhost/p/{poll['code']}/live/",
    }
    for unpredictable in ("id", "code", "created_at", "owner_key", "links"):
        del poll[unpredictable]
    assert poll == {
        "question": "Red or green?",
        "description": "",
        "kind": "single",
        "options": [{"id": 1, "text": "Red"}, {"id": 2, "text": "Green"}],
        "min_choices": 1,
        "max_choices": 1,
        "status": "open",
        "opens_at": None,
        "closes_at": None,
        "closed_at": None,
        "duration": None,
        "voter_policy": "device",
        "vote_change": False,
        "results_visibility": "always",
        "min_voters": 0,
        "listed": True,
        "embed_origins": [],
        "epoch": 1,
        "version": 0,
    }


def test_every_field_is_kept(owner: Person) -> None:
    fields = {
        "question": "Which three?",
        "description": "Take your time.",
        "kind": "multiple",
        "min_choices": 2,
        "max_choices": 3,
        "opens_at": in_(hours=1),
        "closes_at": in_(hours=2),
        "voter_policy": "open",
        "vote_change": True,
        "results_visibility": "after_close",
        "min_voters": 5,
        "listed": False,
    }

    response = owner.post("/api/v1/polls/", fields | {"options": ["A", {"text": "B"}, "C", "D"]})

    assert response.status_code == 201
    poll = response.json()
    assert {name: poll[name] for name in fields} == fields
    assert [option["text"] for option in poll["options"]] == ["A", "B", "C", "D"]
    assert poll["status"] == "scheduled"
    reread = owner.get(f"/api/v1/polls/{poll['id']}/").json()
    del poll["owner_key"]
    assert reread == poll


@pytest.mark.parametrize(
    ("kind", "most"), [("single", 1), ("multiple", 3), ("ranked", 3), ("rating", 3)]
)
def test_max_choices_follows_from_the_kind(owner: Person, kind: str, most: int) -> None:
    poll = owner.make_poll("A", "B", "C", kind=kind)
    assert (poll["min_choices"], poll["max_choices"]) == (1, most)


def test_a_duration_runs_from_creation(owner: Person) -> None:
    poll = owner.make_poll(duration=60)
    opened = datetime.fromisoformat(poll["created_at"])
    assert datetime.fromisoformat(poll["closes_at"]) == opened + timedelta(seconds=60)


def test_a_duration_runs_from_a_later_opening(owner: Person) -> None:
    opens_at = in_(hours=1)
    poll = owner.make_poll(duration=60, opens_at=opens_at)
    opened = datetime.fromisoformat(opens_at)
    assert datetime.fromisoformat(poll["closes_at"]) == opened + timedelta(seconds=60)


def test_a_draft_waits_for_its_owner(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(draft=True, duration=60)
    assert (poll["status"], poll["closes_at"]) == ("draft", None)
    assert refusal(voter.vote(poll, 1)) == (409, "poll_not_open")


def test_the_owner_key_is_not_stored_in_clear(owner: Person) -> None:
    poll = owner.make_poll()
    key = owner.key_of(poll)["Authorization"].removeprefix("Bearer ")
    stored = Poll.objects.filter(id=poll["id"]).values().get()
    assert key not in str(stored)


def test_text_in_any_script_is_kept(owner: Person) -> None:
    poll = owner.make_poll("نعم", "👍🏽", question="¿Qué <b>opinas</b>, \u202eabc?")
    assert poll["question"] == "¿Qué <b>opinas</b>, \u202eabc?"
    assert [option["text"] for option in poll["options"]] == ["نعم", "👍🏽"]


def test_texts_may_be_as_long_as_the_limits_say(owner: Person) -> None:
    options = [f"{number:02}".ljust(200, "x") for number in range(50)]
    poll = owner.make_poll(*options, question="q" * 300, description="d" * 2000)
    assert [option["text"] for option in poll["options"]] == options


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"question": ""}, [("question", "blank")]),
        ({"question": "  "}, [("question", "blank")]),
        ({"question": None}, [("question", "null")]),
        ({"question": []}, [("question", "invalid")]),
        ({"question": "q" * 301}, [("question", "max_length")]),
        ({"question": "nul\x00"}, [("question", "null_characters_not_allowed")]),
        ({"description": "d" * 2001}, [("description", "max_length")]),
        ({"kind": "guess"}, [("kind", "invalid_choice")]),
        ({"kind": ["single"]}, [("kind", "invalid_choice")]),
        ({"options": None}, [("options", "null")]),
        ({"options": "Red"}, [("options", "not_a_list")]),
        ({"options": ["Red"]}, [("options", "min_length")]),
        ({"options": [str(number) for number in range(51)]}, [("options", "max_length")]),
        ({"options": ["Red", "Red"]}, [("options", "duplicate")]),
        ({"options": ["Red", ""]}, [("options.1.text", "blank")]),
        ({"options": ["Red", {}]}, [("options.1.text", "required")]),
        ({"options": ["Red", "g" * 201]}, [("options.1.text", "max_length")]),
        ({"options": ["Red", 7]}, [("options.1", "invalid")]),
        ({"options": ["Red", None]}, [("options.1", "null")]),
        ({"min_choices": 0}, [("min_choices", "min_value")]),
        ({"min_choices": "x"}, [("min_choices", "invalid")]),
        ({"min_choices": 2}, [("min_choices", "max_value")]),
        ({"max_choices": 2}, [("max_choices", "max_value")]),
        ({"max_choices": 51}, [("max_choices", "max_value")]),
        ({"kind": "multiple", "max_choices": 3}, [("max_choices", "max_value")]),
        ({"opens_at": "soon"}, [("opens_at", "invalid")]),
        ({"opens_at": 5}, [("opens_at", "invalid")]),
        ({"closes_at": "2020-01-01T00:00:00Z"}, [("closes_at", "invalid")]),
        (
            {"opens_at": "2199-01-02T00:00:00Z", "closes_at": "2199-01-01T00:00:00Z"},
            [("closes_at", "invalid")],
        ),
        ({"closes_at": "2199-01-01T00:00:00Z", "duration": 60}, [("duration", "invalid")]),
        ({"duration": 0}, [("duration", "min_value")]),
        ({"duration": 366 * 24 * 3600 + 1}, [("duration", "max_value")]),
        ({"duration": 10**18}, [("duration", "max_value")]),
        ({"opens_at": "9999-12-31T23:59:59Z", "duration": 60}, [("duration", "invalid")]),
        ({"voter_policy": "friends"}, [("voter_policy", "invalid_choice")]),
        ({"vote_change": "perhaps"}, [("vote_change", "invalid")]),
        ({"results_visibility": "never"}, [("results_visibility", "invalid_choice")]),
        ({"min_voters": -1}, [("min_voters", "min_value")]),
        ({"listed": None}, [("listed", "null")]),
        ({"draft": 3}, [("draft", "invalid")]),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_field_that_is_wrong_is_named(
    outsider: Person, fields: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    response = outsider.post("/api/v1/polls/", body(**fields))
    assert field_errors(response) == errors
    assert not Poll.objects.exists()


def test_all_wrong_fields_are_named_at_once(outsider: Person) -> None:
    response = outsider.post("/api/v1/polls/", {"options": ["Red", ""], "kind": "guess"})
    assert sorted(field_errors(response)) == [
        ("kind", "invalid_choice"),
        ("options.1.text", "blank"),
        ("question", "required"),
    ]


@pytest.mark.parametrize("wrong", [[], "text", 5, [{"question": "?"}]])
def test_a_poll_is_an_object(outsider: Person, wrong: Any) -> None:
    assert field_errors(outsider.post("/api/v1/polls/", wrong)) == [("", "invalid")]


def test_a_taken_join_code_is_not_given_twice(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = owner.make_poll()["code"]
    codes = iter(["FREE22"])
    monkeypatch.setattr(Poll._meta.get_field("code"), "default", lambda: taken)
    monkeypatch.setattr(Poll._meta.get_field("code"), "_get_default", lambda: taken)
    monkeypatch.setattr("polls.services.new_join_code", lambda: next(codes))
    assert owner.make_poll()["code"] == "FREE22"
