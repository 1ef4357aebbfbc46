"""The rules of a poll, without a database."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls.rules.ballot import BallotError, Marks, Refusal, read_ballot
from polls.rules.deciding import Verdict, decide_vote, refusal_by_status
from polls.rules.poll import PollState, Status, Visibility, may_see_results
from polls.rules.tally import Tally, count_ballots
from tests.polls.kinds.ballots import BODIES
from tests.polls.kinds.states import state_of_kind

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)
OPTIONS = (1, 2, 3, 4)


def poll(kind: str = "single", **fields: Any) -> PollState:
    """A poll of four options that is open at NOW."""
    return state_of_kind(kind, options=len(OPTIONS), **fields)


MOMENTS = (None, BEFORE, NOW, AFTER)
ALL_LIVES = list(product((False, True), MOMENTS, MOMENTS, (None, BEFORE), (None, BEFORE)))


def life(
    is_draft: bool,
    opens_at: datetime | None,
    closes_at: datetime | None,
    paused_at: datetime | None,
    closed_at: datetime | None,
) -> PollState:
    return poll(
        is_draft=is_draft,
        opens_at=opens_at,
        closes_at=closes_at,
        paused_at=paused_at,
        closed_at=closed_at,
    )


def test_a_status_is_the_first_of_closed_draft_scheduled_paused_open_that_holds() -> None:
    seen = set()
    for one in ALL_LIVES:
        is_draft, opens_at, closes_at, paused_at, closed_at = one
        reasons = (
            (Status.CLOSED, closed_at is not None or closes_at in (BEFORE, NOW)),
            (Status.DRAFT, is_draft),
            (Status.SCHEDULED, opens_at == AFTER),
            (Status.PAUSED, paused_at is not None),
            (Status.OPEN, True),
        )
        expected = next(status for status, holds in reasons if holds)
        assert life(*one).status_at(NOW) == expected, one
        seen.add(expected)
    assert seen == set(Status)


def test_only_an_open_poll_takes_votes() -> None:
    for one in ALL_LIVES:
        state = life(*one)
        expected = {Status.OPEN: None, Status.CLOSED: Refusal.POLL_CLOSED}.get(
            state.status_at(NOW), Refusal.POLL_NOT_OPEN
        )
        assert refusal_by_status(state, NOW) == expected, one


def test_a_poll_needs_sealing_when_only_the_clock_has_closed_it() -> None:
    for one in ALL_LIVES:
        state = life(*one)
        by_clock = state.status_at(NOW) == Status.CLOSED and state.closed_at is None
        assert state.needs_sealing(NOW) == by_clock, one


@pytest.mark.parametrize(
    ("fields", "moment"),
    [
        ({}, None),
        ({"opens_at": BEFORE, "closes_at": AFTER}, AFTER),
        ({"opens_at": AFTER}, AFTER),
        ({"opens_at": AFTER, "closes_at": AFTER + timedelta(1)}, AFTER),
        ({"closes_at": NOW}, None),
        ({"closes_at": AFTER, "closed_at": BEFORE}, None),
    ],
)
def test_the_next_moment_is_the_next_change_by_the_clock(
    fields: dict[str, Any], moment: datetime | None
) -> None:
    assert poll(**fields).next_moment(NOW) == moment


def test_states_are_ordered_by_epoch_then_version_then_revision() -> None:
    state = poll()
    states = [
        state._replace(epoch=epoch, version=version, revision=revision)
        for epoch, version, revision in product((1, 2), repeat=3)
    ]
    assert sorted(states, key=lambda one: one.order) == states


@pytest.mark.parametrize(
    ("kind", "body", "marks"),
    [
        ("single", {"choices": [2]}, [2]),
        ("single", {"choices": [4], "anything": "else"}, [4]),
        ("multiple", {"choices": [3, 1]}, [1, 3]),
        ("multiple", {"choices": [4, 3, 2, 1]}, [1, 2, 3, 4]),
        ("ranked", {"choices": [3, 1]}, [3, 1]),
        ("rating", {"ratings": {"3": 1, "1": 5}}, {"1": 5, "3": 1}),
    ],
)
def test_a_ballot_is_read_and_normalised(kind: str, body: Mapping[str, Any], marks: Marks) -> None:
    assert read_ballot(poll(kind), body) == marks


def test_ratings_are_kept_in_the_order_of_the_options() -> None:
    state = poll("rating", max_choices=12, counts=dict.fromkeys(map(str, range(1, 13)), 0))
    marks = read_ballot(state, {"ratings": {"10": 1, "9": 2, "2": 3}})
    assert isinstance(marks, dict)
    assert list(marks) == ["2", "9", "10"]


# What any kind keeps is held in tests/polls/kinds; these have lists of options, or stars.
CHOICE_KINDS = ("single", "multiple", "ranked")
BUILT_IN = (*CHOICE_KINDS, "rating")
NO_LISTS_OF_IDS = [None, 1, "1", {"1": 1}, ["1"], [1.0], [True], [None], [[1]], [1, "2"]]
NO_RATINGS = [None, [1], 5, "5", {"1": 0}, {"1": 6}, {"1": 2.0}, {"1": True}, {"1": "5"},
              {"1": None}, {"1": -1}]  # fmt: skip


def refusal_of(state: PollState, body: Mapping[str, Any]) -> Refusal:
    with pytest.raises(BallotError) as caught:
        read_ballot(state, body)
    assert caught.value.detail
    return caught.value.refusal


@pytest.mark.parametrize("choices", NO_LISTS_OF_IDS, ids=repr)
@pytest.mark.parametrize("kind", CHOICE_KINDS)
def test_choices_are_a_list_of_whole_numbers(kind: str, choices: Any) -> None:
    assert refusal_of(poll(kind), {"choices": choices}) == Refusal.MALFORMED


@pytest.mark.parametrize("ratings", NO_RATINGS, ids=repr)
def test_ratings_map_options_to_one_to_five(ratings: Any) -> None:
    assert refusal_of(poll("rating"), {"ratings": ratings}) == Refusal.MALFORMED


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_ballot_of_another_kind_is_malformed(kind: str) -> None:
    other = {"choices": [1]} if kind == "rating" else {"ratings": {"1": 5}}
    assert refusal_of(poll(kind), other) == Refusal.MALFORMED


@pytest.mark.parametrize("option", [0, -1, 5, 2**63])
@pytest.mark.parametrize("kind", CHOICE_KINDS)
def test_an_option_that_is_not_there_cannot_be_chosen(kind: str, option: int) -> None:
    assert refusal_of(poll(kind), {"choices": [option]}) == Refusal.INVALID_OPTION


@pytest.mark.parametrize("option", ["0", "5", "01", "\u0661", "", "x" * 5000])
def test_an_option_that_is_not_there_cannot_be_rated(option: str) -> None:
    assert refusal_of(poll("rating"), {"ratings": {option: 3}}) == Refusal.INVALID_OPTION


@pytest.mark.parametrize("kind", CHOICE_KINDS)
def test_an_option_counts_once(kind: str) -> None:
    assert refusal_of(poll(kind), {"choices": [2, 2]}) == Refusal.DUPLICATE_CHOICES


@pytest.mark.parametrize("kind", BUILT_IN)
@pytest.mark.parametrize("number", range(5))
def test_the_number_of_choices_is_held_to_its_bounds(kind: str, number: int) -> None:
    state = poll(kind, min_choices=2, max_choices=3)
    body = {"choices": list(OPTIONS[:number]), "ratings": {str(one): 3 for one in OPTIONS[:number]}}
    if number < 2:
        assert refusal_of(state, body) == Refusal.TOO_FEW_CHOICES
    elif number > 3:
        assert refusal_of(state, body) == Refusal.TOO_MANY_CHOICES
    else:
        assert len(read_ballot(state, body)) == number


@pytest.mark.parametrize("vote_change", [False, True])
@pytest.mark.parametrize("earlier", [None, [1], [2]])
def test_what_becomes_of_a_vote(vote_change: bool, earlier: Marks | None) -> None:
    """The whole truth table: every life of a poll, first vote, repeat and change."""
    for one in ALL_LIVES:
        state = life(*one)._replace(vote_change=vote_change)
        expected: Verdict | Refusal
        if earlier == [1]:
            expected = Verdict.REPEATED
        elif (refusal := refusal_by_status(state, NOW)) is not None:
            expected = refusal
        elif earlier is None:
            expected = Verdict.ACCEPTED
        else:
            expected = Verdict.REPLACED if vote_change else Refusal.ALREADY_VOTED
        assert decide_vote(state, NOW, [1], earlier) == expected, one


@pytest.mark.parametrize("is_own", [False, True])
@pytest.mark.parametrize("vote_change", [False, True])
@pytest.mark.parametrize("earlier", [None, [1]])
def test_what_becomes_of_a_retraction(
    vote_change: bool, earlier: Marks | None, is_own: bool
) -> None:
    """The whole truth table: what another has cast is as if it were not there."""
    for one in ALL_LIVES:
        state = life(*one)._replace(vote_change=vote_change)
        expected: Verdict | Refusal
        if earlier is None or not is_own:
            expected = Refusal.NOT_VOTED
        elif (refusal := refusal_by_status(state, NOW)) is not None:
            expected = refusal
        else:
            expected = Verdict.RETRACTED if vote_change else Refusal.VOTE_CHANGE_OFF
        assert decide_vote(state, NOW, None, earlier, is_own=is_own) == expected, one


@pytest.mark.parametrize("visibility", list(Visibility))
@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("has_voted", [False, True])
def test_who_may_see_results(visibility: Visibility, status: Status, has_voted: bool) -> None:
    state = poll(results_visibility=visibility)
    expected = {
        Visibility.ALWAYS: True,
        Visibility.AFTER_VOTE: has_voted,
        Visibility.AFTER_CLOSE: status == Status.CLOSED,
        Visibility.OWNER: False,
    }[visibility]
    assert may_see_results(state, status, is_owner=False, has_voted=has_voted) == expected
    assert may_see_results(state, status, is_owner=True, has_voted=has_voted)


def ballots(kind: str) -> st.SearchStrategy[Marks]:
    state = poll(kind)
    return BODIES[kind].map(lambda body: read_ballot(state, body))


kinds_and_ballots = st.sampled_from(BUILT_IN).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(ballots(kind)))
)


@given(kinds_and_ballots)
def test_a_tally_adds_up(case: tuple[str, list[Marks]]) -> None:
    kind, cast = case
    tally = count_ballots(kind, OPTIONS, cast)
    assert tally.voters == len(cast)
    assert tally.votes == sum(tally.counts.values())
    for option in OPTIONS:
        marked = [marks for marks in cast if str(option) in map(str, marks)]
        if kind == "ranked":
            marked = [marks for marks in marked if next(iter(marks)) == option]
        assert tally.counts[str(option)] == len(marked)
    if kind == "rating":
        assert tally.stars is not None
        assert {option: sum(row) for option, row in tally.stars.items()} == tally.counts
    else:
        assert tally.stars is None


def test_a_tally_made_of_a_state_is_a_copy() -> None:
    state = poll("rating")
    Tally.of(state).add(state.kind, {"1": 5})
    assert state == poll("rating")
