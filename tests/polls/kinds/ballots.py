"""Valid bodies of each kind, for a poll of `states.OPTIONS` options."""

from functools import cache
from typing import Any

from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from polls.rules.ballot import read_ballot, slot_of
from tests.polls.kinds.states import OPTIONS, state_of_kind

Body = dict[str, Any]


class Bodies(dict[str, st.SearchStrategy[Body]]):
    def __missing__(self, kind: str) -> st.SearchStrategy[Body]:
        raise AssertionError(f"say in {__file__} what ballots of {kind!r} look like")


_options = st.sampled_from(range(1, OPTIONS + 1))
_choices = st.lists(_options, min_size=1, unique=True)

BODIES = Bodies({
    "single": _options.map(lambda option: {"choices": [option]}),
    "multiple": _choices.map(lambda choices: {"choices": choices}),
    "ranked": _choices.map(lambda choices: {"choices": choices}),
    "rating": st.dictionaries(_options.map(str), st.integers(1, 5), min_size=1).map(
        lambda ratings: {"ratings": ratings}
    ),
})  # fmt: skip


@cache
def some_bodies(kind: str, number: int) -> list[Body]:
    """So many bodies or fewer, the same ones in every run."""
    found: list[Body] = []

    @settings(max_examples=number, phases=[Phase.generate], database=None, derandomize=True)
    @given(BODIES[kind])
    def keep(body: Body) -> None:
        found.append(body)

    keep()
    return found


@cache
def two_bodies(kind: str) -> tuple[Body, Body]:
    """Two votes that are not the same, of one slot."""
    state = state_of_kind(kind)
    one = find(BODIES[kind], lambda body: True)
    marks, slot = read_ballot(state, one), slot_of(state, one)
    other = find(
        BODIES[kind],
        lambda body: read_ballot(state, body) != marks and slot_of(state, body) == slot,
    )
    return one, other
