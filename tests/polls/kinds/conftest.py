"""Every registered kind, and the example of docs/adding-a-kind.md."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from polls.rules.kinds import KINDS, kind_of
from polls.rules.kinds.kind import Kind
from tests.polls.kinds import recipe
from tests.polls.kinds.ballots import BODIES


@pytest.fixture(scope="module", params=[*KINDS, recipe.NAME])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    with recipe.carried_out() if request.param == recipe.NAME else nullcontext():
        BODIES[request.param]  # or it says where they are missing
        yield kind_of(request.param)
