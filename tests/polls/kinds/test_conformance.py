"""What every kind of poll keeps, without a database."""

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls.errors import BY_CODE
from polls.models import Poll
from polls.results.results_json import results_of
from polls.rules.ballot import BallotError, Marks, read_ballot, slot_of
from polls.rules.kinds import KINDS, NAME_CHARACTERS, register
from polls.rules.kinds.kind import BALLOT_FIELDS, RESULT_FIELDS, FieldError, JsonSchema, Kind
from polls.rules.kinds.multiple import Multiple
from polls.rules.poll import PollState, Status
from polls.rules.refusals import Refusal
from polls.rules.tally import Tally, count_ballots
from tests.polls.kinds import recipe
from tests.polls.kinds.ballots import BODIES, Body
from tests.polls.kinds.states import state_of_kind, with_tally

RESULTS_OF_ALL = {
    "poll", "epoch", "version", "status", "final", "voters", "votes", "counts", "withheld",
}  # fmt: skip

SUM_KINDS = [kind.name for kind in KINDS.values() if kind.is_sum]
BALLOT_KINDS = [*(kind.name for kind in KINDS.values() if kind.needs_ballots), recipe.NAME]

numbers = st.integers() | st.integers(0, 6) | st.floats()
names = st.text(max_size=6) | st.sampled_from(["1", "2", "01", "liked", "\x00"])
anything = st.recursive(
    st.none() | st.booleans() | numbers | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def options_of(state: PollState) -> list[int]:
    return [int(option) for option in state.counts]


def some_ballots(data: st.DataObject, kind: Kind, state: PollState) -> list[Marks]:
    bodies = data.draw(st.lists(BODIES[kind.name], max_size=12))
    return [read_ballot(state, body) for body in bodies]


def counted(kind: Kind, state: PollState, ballots: Iterable[Marks]) -> PollState:
    return with_tally(state, count_ballots(kind.name, options_of(state), ballots))


def extra_results(kind: Kind, state: PollState, ballots: Iterable[Marks]) -> dict[str, Any] | None:
    if not kind.needs_ballots:
        return None
    counter = kind.counter(state)
    counter.add_many(ballots)
    return counter.results()


def full_results(kind: Kind, state: PollState, ballots: list[Marks]) -> dict[str, Any]:
    after = counted(kind, state, ballots)
    shown = results_of(after, Status.OPEN, extra_results(kind, state, ballots))
    decoded: dict[str, Any] = orjson.loads(orjson.dumps(shown))
    return decoded


def test_its_name_fits_the_column_and_is_its_own(kind: Kind) -> None:
    assert 0 < len(kind.name) <= NAME_CHARACTERS
    assert kind.name.isascii()
    assert kind.name.islower()
    choices: Any = Poll._meta.get_field("kind").choices
    assert (kind.name, kind.name) in choices
    with pytest.raises(ValueError, match=kind.name):
        register(kind)


def test_what_it_says_of_itself_agrees(kind: Kind) -> None:
    assert 0 <= kind.options_min <= kind.options_max <= 50
    assert len(kind.vote_columns) > 0
    if kind.is_sum:
        assert kind.options_min > 0
        assert kind.empty_stars(["1", "2"]) is None
    json.dumps([kind.ballot_schema, kind.results_schema])


def test_all_know_its_name_and_fields_to_be_its_own() -> None:
    assert RESULTS_OF_ALL <= RESULT_FIELDS

    class Taken(Multiple):
        name: ClassVar[str] = "taken"
        results_schema: ClassVar[JsonSchema] = {"counts": {"type": "object"}}

    class Reserved(Multiple):
        name: ClassVar[str] = "reserved"
        ballot_schema: ClassVar[JsonSchema] = {"seq": {"type": "integer"}}

    class Ambiguous(Multiple):
        name: ClassVar[str] = "unclear"
        ballot_schema: ClassVar[JsonSchema] = {"choices": {"type": "string"}}

    class Shouted(Multiple):
        name: ClassVar[str] = "Multi-2"

    for kind, why in (
        (Taken(), "counts"), (Reserved(), "seq"), (Ambiguous(), "single"), (Shouted(), "Multi-2"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            register(kind)
        assert kind.name not in KINDS
    assert "seq" in BALLOT_FIELDS


def test_only_a_kind_that_needs_ballots_counts_them(kind: Kind) -> None:
    state = state_of_kind(kind.name)
    if kind.needs_ballots:
        assert kind.counter(state).results().keys() <= kind.results_schema.keys()
    else:
        with pytest.raises(NotImplementedError):
            kind.counter(state)


# The poll itself


def test_the_number_of_options_is_held_to_its_bounds(kind: Kind) -> None:
    for number in (0, 1, kind.options_min - 1, kind.options_max + 1, 51):
        if kind.options_min <= number <= kind.options_max:
            kind.check_options(number)
            continue
        with pytest.raises(FieldError) as caught:
            kind.check_options(number)
        assert caught.value.field == "options"
        assert caught.value.code in ("min_length", "max_length")


choices_given = st.none() | st.integers(1, 60)


@given(st.data(), choices_given, choices_given)
def test_the_bounds_of_a_ballot_can_be_kept(
    kind: Kind, data: st.DataObject, min_choices: int | None, max_choices: int | None
) -> None:
    options = data.draw(st.integers(kind.options_min, kind.options_max))
    refused = None
    bounds = 1, 1
    try:
        bounds = kind.choice_bounds(options, min_choices, max_choices)
    except FieldError as error:
        refused = error.field
    if refused is None:
        at_least, at_most = bounds
        assert 1 <= at_least <= at_most <= kind.most_choices(options)
        assert min_choices in (None, at_least)
        assert max_choices in (None, at_most)
    else:
        assert refused in ("min_choices", "max_choices")
        assert (min_choices, max_choices) != (None, None)


# Ballots


@given(st.data())
def test_a_valid_ballot_is_read_shown_and_read_again(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    body = data.draw(BODIES[kind.name])
    marks = read_ballot(state, body)
    shown = kind.marks_json(marks)
    assert shown.keys() <= kind.ballot_schema.keys()
    assert read_ballot(state, shown) == marks
    assert orjson.loads(orjson.dumps(marks)) == marks
    assert "\\u0000" not in json.dumps(marks)
    assert slot_of(state, shown) == slot_of(state, body)


def slips(value: Any) -> Iterator[Any]:
    """The same JSON, but for one number that is no whole one, or one option's number written
    otherwise: what JavaScript and Python take for equal."""
    if type(value) is int:
        yield from (float(value), str(value), True if value == 1 else None)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from ([*value[:place], slip, *value[place + 1 :]] for slip in slips(one))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from (value | {key: slip} for slip in slips(one))
            if key.isdigit():
                yield {f"0{name}" if name == key else name: it for name, it in value.items()}


def backwards(value: Any) -> Any:
    """The same JSON, its objects' properties in another order."""
    if isinstance(value, dict):
        return {key: backwards(one) for key, one in reversed(value.items())}
    return value


@given(st.data())
def test_marks_have_one_form_only(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    body = data.draw(BODIES[kind.name])
    marks = read_ballot(state, body)
    assert json.dumps(read_ballot(state, backwards(body))) == json.dumps(marks)
    for slip in slips(body):
        with pytest.raises(BallotError):
            read_ballot(state, slip)


@given(st.data())
def test_a_ballot_is_held_to_the_poll_s_bounds(kind: Kind, data: st.DataObject) -> None:
    """Where it may have several marks: `min_choices` and `max_choices` count them."""
    state = state_of_kind(kind.name)
    marks = read_ballot(state, data.draw(BODIES[kind.name]))
    if kind.most_choices(len(state.counts)) == 1:
        return
    bounded = state._replace(min_choices=2, max_choices=2)
    if len(marks) == 2:
        assert read_ballot(bounded, kind.marks_json(marks)) == marks
        return
    with pytest.raises(BallotError) as caught:
        read_ballot(bounded, kind.marks_json(marks))
    few = len(marks) < 2
    assert caught.value.refusal == (Refusal.TOO_FEW_CHOICES if few else Refusal.TOO_MANY_CHOICES)


@given(st.data())
def test_any_other_body_is_refused_for_a_reason_that_clients_know(
    kind: Kind, data: st.DataObject
) -> None:
    state = state_of_kind(kind.name)
    fields = st.sampled_from([*kind.ballot_schema, "choices", "ratings"])
    valid = BODIES[kind.name]
    body: Body = data.draw(
        st.dictionaries(fields, anything, max_size=3)
        | st.builds(lambda one, more: one | more, valid, st.dictionaries(fields, anything))
    )
    assert isinstance(slot_of(state, body), str)
    marks: Marks | None = None
    refusal: BallotError | None = None
    try:
        marks = read_ballot(state, body)
    except BallotError as error:
        refusal = error
    if marks is not None:
        assert read_ballot(state, kind.marks_json(marks)) == marks
        assert "\\u0000" not in json.dumps(marks)
    else:
        assert refusal is not None
        assert refusal.refusal in BY_CODE
        assert refusal.detail


@given(st.data())
def test_a_voter_has_no_more_slots_than_it_says(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    bodies = data.draw(st.lists(BODIES[kind.name], max_size=12))
    slots = {slot_of(state, body) for body in bodies}
    assert len(slots) <= kind.most_votes(len(state.counts))


def test_an_empty_body_and_a_retraction_have_no_slot(kind: Kind) -> None:
    state = state_of_kind(kind.name)
    assert slot_of(state, {}) == slot_of(state, None) == ""
    with pytest.raises(BallotError):
        read_ballot(state, {})


# Counting


@given(st.data(), st.randoms(use_true_random=False))
def test_ballots_counted_in_and_out_in_any_order_leave_no_trace(
    kind: Kind, data: st.DataObject, order: random.Random
) -> None:
    state = state_of_kind(kind.name)
    ballots = some_ballots(data, kind, state)
    tally = count_ballots(kind.name, options_of(state), ballots)
    assert tally.voters == len(ballots)
    assert tally.counts.keys() == state.counts.keys()
    shuffled = order.sample(ballots, len(ballots))
    kept, gone = shuffled[::2], shuffled[1::2]
    for marks in gone:
        tally.add(kind.name, marks, -1)
    assert tally == count_ballots(kind.name, options_of(state), kept)
    for marks in kept:
        tally.add(kind.name, marks, -1)
    assert tally == Tally.empty(kind.name, options_of(state))


@given(st.data())
def test_the_votes_of_a_ballot_are_marks_of_it(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    marks = read_ballot(state, data.draw(BODIES[kind.name]))
    tally = count_ballots(kind.name, options_of(state), [marks])
    assert 1 <= tally.votes <= len(marks)


@pytest.mark.parametrize("kind", SUM_KINDS, indirect=True)
@given(st.data())
def test_a_sum_can_be_added_to_totals_that_are_not_known(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    before, added = some_ballots(data, kind, state), some_ballots(data, kind, state)
    tally = count_ballots(kind.name, options_of(state), before)
    addition = Tally.to_add()
    for marks in added:
        addition.add(kind.name, marks)
    for option, number in addition.counts.items():
        assert type(number) is int
        assert number > 0
        tally.counts[option] += number
    assert addition.stars is None
    tally.voters += addition.voters
    tally.votes += addition.votes
    assert tally == count_ballots(kind.name, options_of(state), [*before, *added])


@given(st.data())
def test_a_copied_tally_is_free_to_be_changed(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    marks = read_ballot(state, data.draw(BODIES[kind.name]))
    Tally.of(state).add(kind.name, marks)
    assert state == state_of_kind(kind.name)


@pytest.mark.parametrize("kind", BALLOT_KINDS, indirect=True)
@given(st.data(), st.randoms(use_true_random=False))
def test_a_counter_depends_on_the_ballots_that_stand_alone(
    kind: Kind, data: st.DataObject, order: random.Random
) -> None:
    state = state_of_kind(kind.name)
    ballots = some_ballots(data, kind, state)
    live = kind.counter(state)
    shuffled = order.sample(ballots, len(ballots))
    for marks in shuffled:
        live.add(marks)
        live.results()
    kept, gone = shuffled[::2], shuffled[1::2]
    for marks in gone:
        live.remove(marks)
    assert live.results() == extra_results(kind, state, kept)
    json.dumps(live.results())


# Results and exports


@given(st.data())
def test_results_are_json_as_the_schema_says(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    shown = full_results(kind, state, some_ballots(data, kind, state))
    assert shown.keys() == (RESULTS_OF_ALL - {"withheld"}) | kind.results_schema.keys()


@given(st.data())
def test_below_min_voters_nothing_is_shown_but_how_many(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name, min_voters=13)
    shown = full_results(kind, state, some_ballots(data, kind, state))
    assert shown.keys() == RESULTS_OF_ALL
    assert (shown["withheld"], shown["votes"], shown["counts"]) == (True, None, None)


@given(st.data())
def test_exports_have_a_cell_for_each_column(kind: Kind, data: st.DataObject) -> None:
    state = state_of_kind(kind.name)
    ballots = some_ballots(data, kind, state)
    texts = {option: f"Option {option}" for option in options_of(state)}
    results = full_results(kind, state, ballots)
    rows = list(kind.result_rows(results, texts))
    assert {len(row) for row in rows} <= {len(kind.result_columns)}
    assert all(type(cell) in (str, int, float, type(None)) for row in rows for cell in row)
    for marks in ballots:
        cells = kind.vote_cells(marks)
        assert len(cells) == len(kind.vote_columns)
        assert all(type(cell) in (str, int, float) for cell in cells)
    bars = list(kind.bars(results, texts))
    assert len(bars) == len(rows)
    assert all(bar.number >= 0 for bar in bars)
    assert all(isinstance(fact, str) for fact in kind.facts(results))
