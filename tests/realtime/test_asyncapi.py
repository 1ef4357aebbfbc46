"""The description of the socket has what the kinds of poll add to a results frame."""

import re
from pathlib import Path

import pytest

import realtime
from polls.rules.kinds import KINDS

ASYNCAPI = Path(realtime.__file__).parent / "asyncapi.yaml"


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_of_a_kind_s_results_is_described(kind: str) -> None:
    described = set(re.findall(r"^ +(\w+): \{", ASYNCAPI.read_text(), re.MULTILINE))
    assert KINDS[kind].results_schema.keys() - described == set()
