"""Every registered kind, and the example of docs/adding-a-kind.md."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from polls.rules.kinds import KINDS, kind_of
from polls.rules.kinds.kind import Kind
from tests.polls.kinds import recipe


@contextmanager
def registered(name: str) -> Iterator[Kind]:
    with recipe.carried_out() if name == recipe.NAME else nullcontext():
        yield kind_of(name)


@pytest.fixture(scope="module", params=[*KINDS, recipe.NAME])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    with registered(request.param) as found:
        yield found


@pytest.fixture(scope="module", params=[one.name for one in KINDS.values() if one.is_sum])
def sum_kind(request: pytest.FixtureRequest) -> Kind:
    return kind_of(request.param)


@pytest.fixture(
    scope="module",
    params=[*(one.name for one in KINDS.values() if one.needs_ballots), recipe.NAME],
)
def ballot_kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    with registered(request.param) as found:
        yield found
