"""Valid bodies of each kind, for a poll of `states.OPTIONS` options."""

from typing import Any

from hypothesis import strategies as st

from tests.polls.kinds.states import OPTIONS

Body = dict[str, Any]

_options = st.sampled_from(range(1, OPTIONS + 1))
_choices = st.lists(_options, min_size=1, unique=True)

BODIES: dict[str, st.SearchStrategy[Body]] = {
    "single": _options.map(lambda option: {"choices": [option]}),
    "multiple": _choices.map(lambda choices: {"choices": choices}),
    "ranked": _choices.map(lambda choices: {"choices": choices}),
    "rating": st.dictionaries(_options.map(str), st.integers(1, 5), min_size=1).map(
        lambda ratings: {"ratings": ratings}
    ),
}
