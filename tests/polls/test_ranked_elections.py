"""The ranked kind against 158 published elections (tests/data/README.md says whose)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from polls.identity.voters import Identity
from polls.rules.kinds import kind_of
from polls.rules.kinds.run_off import RankedCount
from polls.voting.committer import record_votes
from polls.voting.vote import Cast
from tests.polls.kinds.states import state_of_kind
from tests.polls.people import Json, Person

FILE = Path(__file__).parents[1] / "data" / "ranked-elections.jsonl"
ELECTIONS: list[Json] = [json.loads(line) for line in FILE.read_text().splitlines()]
BY_NAME = {one["name"]: one for one in ELECTIONS}
BATCH = 400


def ids(election: Json) -> list[int]:
    return list(range(1, len(election["options"]) + 1))


def counted(election: Json) -> dict[str, Any]:
    count = RankedCount(ids(election), tie_seed=election["tie_seed"].encode())
    for number, ballot in election["ballots"]:
        count.add(ballot, number)
    return count.results()


def test_all_are_there() -> None:
    assert len(BY_NAME) == len(ELECTIONS) == 158
    assert sum(number for one in ELECTIONS for number, _ in one["ballots"]) > 24_000_000


@pytest.mark.parametrize("name", BY_NAME)
def test_the_rounds_and_both_winners_are_as_expected(name: str) -> None:
    election = BY_NAME[name]
    assert counted(election) == election["expected"]


SMALL = [
    one["name"]
    for one in ELECTIONS
    if not one["uses_lot"] and sum(number for number, _ in one["ballots"]) <= 10_000
]


@pytest.mark.parametrize("name", SMALL)
def test_the_kind_s_counter_says_the_same_ballot_by_ballot(name: str) -> None:
    election = BY_NAME[name]
    counter = kind_of("ranked").counter(state_of_kind("ranked", options=len(election["options"])))
    for number, ballot in election["ballots"]:
        for _ in range(number):
            counter.add(ballot)
    assert counter.results() == election["expected"]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_published_round_is_ours_where_the_same_options_continue(name: str) -> None:
    election = BY_NAME[name]
    ours = {frozenset(one["counts"]): one for one in counted(election)["rounds"]}
    for theirs in election["peer"]["rounds"]:
        mine = ours.get(frozenset(theirs["counts"]))
        if mine is not None:
            assert theirs["counts"] == mine["counts"]
            assert theirs.get("exhausted") in (None, mine["exhausted"])


# Spelled as among the options; Debian elects by another rule, with tied ranks.
DECLARED = [
    one["name"]
    for one in ELECTIONS
    if one["official_winner"] in one["options"] and "Debian" not in one["name"]
]


@pytest.mark.parametrize("name", DECLARED)
def test_who_was_declared_elected_wins(name: str) -> None:
    election = BY_NAME[name]
    winner = counted(election)["winner"]
    assert election["options"][winner - 1] == election["official_winner"]


@pytest.mark.parametrize(
    "name",
    [one["name"] for one in ELECTIONS if one["peer"].get("condorcet_winner") is not None],
)
def test_the_published_condorcet_winner_is_ours(name: str) -> None:
    election = BY_NAME[name]
    assert counted(election)["condorcet_winner"] == election["peer"]["condorcet_winner"]


def could_be_voted(election: Json) -> bool:
    """Without a lot, which a poll draws by its own id, and without empty ballots, which a poll
    does not take; small enough for one test."""
    ballots = election["ballots"]
    return (
        not election["uses_lot"]
        and all(ballot for _, ballot in ballots)
        and sum(number for number, _ in ballots) <= 1_000
        and len(set(election["options"])) == len(election["options"])
    )


TEN = sorted(filter(could_be_voted, ELECTIONS), key=lambda one: -len(one["expected"]["rounds"]))[
    :10
]


def casts(election: Json, poll: Json) -> Iterator[Cast]:
    voter = 0
    for number, ballot in election["ballots"]:
        for _ in range(number):
            voter += 1
            name = f"voter-{voter}"
            yield Cast(UUID(poll["id"]), Identity(name, "", name), {"choices": ballot})


@pytest.mark.parametrize("name", [one["name"] for one in TEN])
def test_an_election_over_rest(owner: Person, name: str, no_screens: None) -> None:
    election = BY_NAME[name]
    poll = owner.make_poll(*election["options"], kind="ranked")
    batch = list(casts(election, poll))
    for start in range(0, len(batch), BATCH):
        outcomes = record_votes(batch[start : start + BATCH])
        assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    results = owner.results(poll)
    assert results["voters"] == len(batch)
    assert {key: results[key] for key in election["expected"]} == election["expected"]
    assert results["counts"] == election["expected"]["rounds"][0]["counts"]


def test_ten_are_voted_in() -> None:
    assert len(TEN) == 10
