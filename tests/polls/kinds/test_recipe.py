"""The example of docs/adding-a-kind.md, made by carrying the page out."""

import csv
import io
from collections.abc import Iterator

import pytest

from polls.rules.kinds import KINDS
from tests.polls.kinds import recipe
from tests.polls.kinds.ballots import BODIES
from tests.polls.people import Json, Person, Site, field_errors, refusal


@pytest.fixture(autouse=True)
def retro() -> Iterator[None]:
    with recipe.carried_out():
        yield


def say(person: Person, poll: Json, question: str, answer: str) -> int:
    body = {"question": question, "answer": answer}
    return person.post(f"/api/v1/polls/{poll['id']}/votes/", body).status_code


def test_the_page_says_all_that_there_is_to_do() -> None:
    assert len(recipe.code_blocks()) == 3
    assert recipe.NAME in KINDS
    assert recipe.NAME in BODIES


def test_a_poll_without_options_takes_an_answer_to_each_question_of_every_voter(
    site: Site, owner: Person, voter: Person, neighbour: Person
) -> None:
    made = owner.post("/api/v1/polls/", {"question": "How was it?", "kind": "retro"})
    assert made.status_code == 201, made.text
    poll = made.json()
    key = {"Authorization": f"Bearer {poll['owner_key']}"}
    assert (poll["options"], poll["min_choices"], poll["max_choices"]) == ([], 1, 1)

    assert say(voter, poll, "liked", "the cake") == 201
    assert say(voter, poll, "missed", "tea") == 201
    assert say(voter, poll, "liked", " the   cake ") == 200
    assert say(voter, poll, "liked", "the music") == 409
    assert say(neighbour, poll, "liked", "the cake") == 201
    assert say(neighbour, poll, "missed", "=1+1") == 201
    assert say(neighbour, poll, "missed", "nul\x00") == 400
    assert say(neighbour, poll, "hated", "tea") == 400

    results = owner.results(poll)
    assert (results["voters"], results["votes"], results["counts"]) == (4, 4, {})
    assert results["answers"] == [
        {"question": "liked", "text": "the cake", "count": 2},
        {"question": "missed", "text": "=1+1", "count": 1},
        {"question": "missed", "text": "tea", "count": 1},
    ]
    path = f"/api/v1/polls/{poll['id']}/export/"
    rows = list(csv.reader(io.StringIO(owner.get(f"{path}results.csv", key).text)))
    assert rows == [
        ["question", "answer", "count"],
        ["liked", "the cake", "2"],
        ["missed", "'=1+1", "1"],
        ["missed", "tea", "1"],
    ]
    votes = list(csv.DictReader(io.StringIO(owner.get(f"{path}votes.csv", key).text)))
    assert [(vote["question"], vote["answer"]) for vote in votes] == [
        ("liked", "the cake"), ("missed", "tea"), ("liked", "the cake"), ("missed", "'=1+1"),
    ]  # fmt: skip
    assert owner.get(f"{path}report.pdf", key).content.startswith(b"%PDF")


def test_an_answer_may_be_changed_without_touching_the_other(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(kind="retro", options=[], vote_change=True)
    say(voter, poll, "liked", "the cake")
    say(voter, poll, "missed", "tea")
    assert say(voter, poll, "liked", "the music") == 200
    assert owner.results(poll)["answers"] == [
        {"question": "liked", "text": "the music", "count": 1},
        {"question": "missed", "text": "tea", "count": 1},
    ]


def test_one_voter_s_several_votes_do_not_give_them_away(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll(kind="retro", options=[], min_voters=2)
    say(voter, poll, "liked", "the cake")
    say(voter, poll, "missed", "tea")
    assert owner.results(poll)["withheld"] is True
    path = f"/api/v1/polls/{poll['id']}/export/votes.csv"
    assert refusal(owner.get(path, owner.key_of(poll))) == (403, "results_hidden")
    say(neighbour, poll, "liked", "the cake")
    assert owner.results(poll)["withheld"] is False
    assert len(owner.get(path, owner.key_of(poll)).text.splitlines()) == 4


def test_a_voter_code_is_one_vote(owner: Person) -> None:
    poll = {"question": "How was it?", "kind": "retro", "voter_policy": "code"}
    wrong = [("voter_policy", "invalid")]
    assert field_errors(owner.post("/api/v1/polls/", poll)) == wrong
    made = owner.make_poll(kind="retro", options=[])
    answer = owner.patch(
        f"/api/v1/polls/{made['id']}/", {"voter_policy": "code"}, owner.key_of(made)
    )
    assert field_errors(answer) == wrong


def test_the_options_of_other_kinds_are_as_necessary_as_before(owner: Person) -> None:
    poll = {"question": "Red or green?"}
    assert field_errors(owner.post("/api/v1/polls/", poll)) == [("options", "min_length")]
    retro = poll | {"kind": "retro", "options": ["Red", "Green"]}
    assert field_errors(owner.post("/api/v1/polls/", retro)) == [("options", "max_length")]


def test_it_is_gone_when_the_page_is_not_carried_out(owner: Person) -> None:
    KINDS.pop(recipe.NAME)
    poll = {"question": "How was it?", "kind": "retro", "options": []}
    answer = owner.post("/api/v1/polls/", poll)
    assert refusal(answer) == (400, "invalid")
