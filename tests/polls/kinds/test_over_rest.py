"""Every kind of poll from its making to its exports, through the whole application."""

import csv
import io
from typing import Any
from uuid import UUID

import pytest
from openapi_schema_validator import OAS31Validator

from polls.recount import recount_poll
from polls.rules.kinds.kind import Kind
from tests.polls.kinds.ballots import Body, two_bodies
from tests.polls.kinds.states import OPTIONS, option_texts
from tests.polls.people import Json, Person, Site, field_errors, refusal


def make_poll(owner: Person, kind: Kind, **fields: Any) -> Json:
    return owner.make_poll(kind=kind.name, options=option_texts(kind.name), **fields)


def cast(person: Person, poll: Json, body: Body) -> Any:
    return person.post(f"/api/v1/polls/{poll['id']}/votes/", body)


def export(owner: Person, poll: Json, name: str) -> Any:
    answer = owner.get(f"/api/v1/polls/{poll['id']}/export/{name}", owner.key_of(poll))
    assert answer.status_code == 200, answer.text
    return answer


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def check_shape(schema: Json, name: str, body: Json) -> None:
    """Hold a body to a component of the OpenAPI schema, and to declaring each of its fields."""
    component = schema["components"]["schemas"][name]
    OAS31Validator(
        {"$ref": f"#/components/schemas/{name}", "components": schema["components"]}
    ).validate(body)
    assert body.keys() <= component["properties"].keys()


def test_it_is_made_voted_on_shown_and_exported(
    kind: Kind, owner: Person, voter: Person, neighbour: Person, outsider: Person
) -> None:
    schema = outsider.get("/api/schema/", {"Accept": "application/json"}).json()
    poll = make_poll(owner, kind)
    assert poll["kind"] == kind.name
    one, other = two_bodies(kind.name)

    first = cast(voter, poll, one)
    assert first.status_code == 201, first.text
    check_shape(schema, "VoteRequestRequest", one)
    check_shape(schema, "RecordedVote", first.json()["vote"])
    check_shape(schema, "Results", first.json()["results"])
    again = cast(voter, poll, one)
    assert (again.status_code, again.json()["vote"]) == (200, first.json()["vote"])
    refused = cast(voter, poll, other)
    assert refusal(refused) == (409, "already_voted")
    assert refused.json()["vote"] == first.json()["vote"]
    assert cast(neighbour, poll, other).status_code == 201
    assert refusal(cast(outsider, poll, {})) == (400, "malformed")

    results = owner.results(poll)
    check_shape(schema, "Results", results)
    assert results.keys() >= kind.results_schema.keys()
    assert (results["voters"], results["version"]) == (2, 2)
    assert results["votes"] > 0

    header, *rows = table(export(owner, poll, "results.csv").text)
    assert header == list(kind.result_columns)
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    header, *rows = table(export(owner, poll, "votes.csv").text)
    assert header[-len(kind.vote_columns) :] == list(kind.vote_columns)
    assert [len(row) for row in rows] == [len(header)] * 2
    assert export(owner, poll, "report.pdf").content.startswith(b"%PDF")


def test_a_vote_may_be_changed_and_the_poll_reset_and_recounted(
    kind: Kind, site: Site, owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = make_poll(owner, kind, vote_change=True)
    one, other = two_bodies(kind.name)
    cast(voter, poll, one)
    cast(neighbour, poll, one)
    alike = owner.results(poll)
    changed = cast(voter, poll, other)
    assert changed.status_code == 200
    assert owner.results(poll)["voters"] == 2
    cast(voter, poll, one)
    unlike = {"version", "as_of"}
    back = owner.results(poll)
    assert {key: back[key] for key in back if key not in unlike} == {
        key: alike[key] for key in alike if key not in unlike
    }
    assert recount_poll(UUID(poll["id"])) == []
    owner.act(poll, "reset")
    empty = owner.results(poll)
    assert (empty["voters"], empty["votes"], empty["epoch"]) == (0, 0, 2)
    assert export(owner, poll, "report.pdf").content.startswith(b"%PDF")
    assert cast(voter, poll, one).status_code == 201
    assert recount_poll(UUID(poll["id"])) == []


def test_the_first_votes_of_many_are_counted_once_each(
    kind: Kind, site: Site, owner: Person
) -> None:
    poll = make_poll(owner, kind)
    for body in two_bodies(kind.name) * 3:
        assert cast(site.person(), poll, body).status_code == 201
    assert owner.results(poll)["voters"] == 6
    assert recount_poll(UUID(poll["id"])) == []


def test_its_numbers_are_withheld_while_they_could_be_one_voter_s(
    kind: Kind, site: Site, owner: Person
) -> None:
    poll = make_poll(owner, kind, min_voters=2)
    one, other = two_bodies(kind.name)
    for _ in range(kind.most_votes(len(poll["options"]))):
        shown = cast(site.person(), poll, one).json()["results"]
        assert (shown["withheld"], shown["votes"], shown["counts"]) == (True, None, None)
        assert not kind.results_schema.keys() & shown.keys()
    shown = cast(site.person(), poll, other).json()["results"]
    assert shown["withheld"] is False
    assert kind.results_schema.keys() <= shown.keys()


def test_a_number_of_options_that_it_does_not_have_is_refused(kind: Kind, owner: Person) -> None:
    poll = make_poll(owner, kind)
    for number in {kind.options_min - 1, kind.options_max + 1} - {-1}:
        options = [f"Option {option + 1}" for option in range(number)]
        fields = {"question": "?", "kind": kind.name, "options": options}
        wrong = [("options", "min_length" if number < kind.options_min else "max_length")]
        assert field_errors(owner.post("/api/v1/polls/", fields)) == wrong
        path = f"/api/v1/polls/{poll['id']}/"
        answer = owner.patch(path, {"options": options}, owner.key_of(poll))
        assert field_errors(answer) == wrong


def test_it_is_cloned_and_edited_like_any_other(kind: Kind, owner: Person) -> None:
    poll = make_poll(owner, kind)
    clone = owner.post(f"/api/v1/polls/{poll['id']}/clone/", headers=owner.key_of(poll)).json()
    same = ("kind", "options", "min_choices", "max_choices")
    assert {name: clone[name] for name in same} == {name: poll[name] for name in same}
    path = f"/api/v1/polls/{poll['id']}/"
    fewer = [option["text"] for option in poll["options"]][: max(kind.options_min, 2)]
    if kind.options_max == 0:
        fewer = []
    edited = owner.patch(path, {"question": "Which?", "options": fewer}, owner.key_of(poll))
    assert edited.status_code == 200, edited.text
    assert [option["text"] for option in edited.json()["options"]] == fewer
    assert edited.json()["max_choices"] == kind.most_choices(len(fewer))


@pytest.mark.parametrize("other", ["single", "rating"])
def test_a_poll_without_votes_may_become_one_and_cease_to_be_one(
    kind: Kind, owner: Person, voter: Person, other: str
) -> None:
    poll = owner.make_poll("Option 1", "Option 2", "Option 3", "Option 4", kind=other)
    path, key = f"/api/v1/polls/{poll['id']}/", owner.key_of(poll)
    options = option_texts(kind.name)
    changed = owner.patch(path, {"kind": kind.name, "options": options}, key)
    assert changed.status_code == 200, changed.text
    assert cast(voter, poll, two_bodies(kind.name)[0]).status_code == 201
    assert kind.results_schema.keys() <= owner.results(poll).keys()
    owner.act(poll, "reset")
    options = [f"Option {option + 1}" for option in range(OPTIONS)]
    back = owner.patch(path, {"kind": other, "options": options}, key)
    assert back.status_code == 200, back.text
    assert len(back.json()["options"]) == OPTIONS
    assert recount_poll(UUID(poll["id"])) == []
