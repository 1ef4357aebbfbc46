"""The deliberate bugs of the long form still find what they replace: a name that is gone ends the
server, and is seen here first. Their code is read, not run."""

import ast
from typing import Any

import pytest

from polls.voting import committer, fast_lane, first_votes, sql
from polls.voting.fast_lane import FastLane
from tests.chaos.mutants import MUTANTS, Mutant

TOOLS = {
    "FastLane": FastLane, "committer": committer, "fast_lane": fast_lane,
    "first_votes": first_votes, "sql": sql,
}  # fmt: skip


def calls(code: ast.Module, function: str) -> list[list[ast.expr]]:
    """The arguments of each call of this function."""
    return [
        node.args
        for node in ast.walk(code)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function
    ]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name.replace(" ", "-"))
def test_what_a_deliberate_bug_replaces_is_there(mutant: Mutant) -> None:
    code = ast.parse(mutant.code)
    names: dict[str, Any] = dict(TOOLS)
    imports: list[ast.stmt] = [
        node for node in code.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    exec(compile(ast.Module(imports, []), "a mutant", "exec"), names)  # noqa: S102 (our own text)
    for owner, name, *_ in calls(code, "replace"):
        where, what = ast.unparse(owner), ast.literal_eval(name)
        assert hasattr(eval(where, names), what), f"{where} has no {what}"  # noqa: S307
    for old, new in calls(code, "change_first_votes"):
        assert ast.literal_eval(old) in first_votes.ADD_FIRST_VOTES
        assert ast.literal_eval(old) != ast.literal_eval(new)
