"""docs/adding-a-kind.md carried out: its blocks of Python, in its order, as it says.

Those marked ```` ```python ````; what is only to be read there is marked `py`.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from polls.rules import kinds
from tests.polls.kinds import ballots

RECIPE = Path(__file__).parents[3] / "docs" / "adding-a-kind.md"
NAME = "retro"
MODULE = f"polls.rules.kinds.{NAME}"


def code_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", RECIPE.read_text(), re.DOTALL | re.MULTILINE)


@contextmanager
def carried_out() -> Iterator[None]:
    """The example is a kind like the others, until the end."""
    module, registration, its_ballots = code_blocks()
    written = ModuleType(MODULE)
    sys.modules[MODULE] = written
    try:
        _run(module, written)
        _run(registration, kinds)
        _run(its_ballots, ballots)
        yield
    finally:
        kinds.KINDS.pop(NAME, None)
        ballots.BODIES.pop(NAME, None)
        del sys.modules[MODULE]


def _run(code: str, module: ModuleType) -> None:
    exec(compile(code, str(RECIPE), "exec"), vars(module))  # noqa: S102
