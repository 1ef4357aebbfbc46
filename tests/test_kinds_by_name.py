"""Kinds of poll are asked what they do, never for their names: polls/rules/kinds alone has those.

Held for every string of the sources and every import of one kind's module.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from polls.rules.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "polls" / "rules" / "kinds"
NOT_SOURCE = {"tests", "migrations", ".venv", "node_modules"}
SHARED = {"polls.rules.kinds", "polls.rules.kinds.kind"}

# Where a user names a kind, or another thing is called so.
NAMES_THEM = {
    "replay/ballots.py": "of which kinds a poll may be that a file's ballots are cast into",
    "replay/management/commands/replay_ballots.py": "the kind that is made where none is asked for",
    "bench/__main__.py": "a part of the benchmark",
    "bench/parts/ranked.py": "a part of the benchmark, which makes such polls",
    "bench/ranked.py": "measures the run-off by itself",
}


def sources() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.py")):
        if not NOT_SOURCE & set(path.relative_to(ROOT).parts) and HOME not in path.parents:
            yield path


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if text in KINDS:
                yield node.lineno, text
            case ast.ImportFrom(module=str(module)) if module.startswith("polls.rules.kinds"):
                if module not in SHARED:
                    yield node.lineno, module


def named() -> dict[str, list[str]]:
    found = {}
    for path in sources():
        names = [f"line {line}: {name}" for line, name in names_in(ast.parse(path.read_text()))]
        if names:
            found[path.relative_to(ROOT).as_posix()] = names
    return found


def test_no_source_asks_for_a_kind_by_name() -> None:
    assert {path: names for path, names in named().items() if path not in NAMES_THEM} == {}


def test_no_exception_is_left_over() -> None:
    assert NAMES_THEM.keys() - named().keys() == set()


def test_a_name_would_be_seen() -> None:
    asked = 'from polls.rules.kinds.run_off import RankedCount\nif kind == "ranked":\n    pass\n'
    assert [name for _, name in names_in(ast.parse(asked))] == [
        "polls.rules.kinds.run_off", "ranked",
    ]  # fmt: skip
