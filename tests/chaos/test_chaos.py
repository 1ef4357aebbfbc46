"""The short chaos run, and the mutants that it must catch.

CHAOS_SEED repeats a run; CHAOS_MUTANTS=all takes every mutant instead of a few.
"""

import os
import secrets

import pytest
import uvloop

from deploy.local_servers import private_folder
from tests.chaos.checker import RULES
from tests.chaos.faults import plan
from tests.chaos.mutants import MUTANTS, Mutant
from tests.chaos.rig import raised_rig, source_copy
from tests.chaos.run import Config, run

pytestmark = [pytest.mark.chaos, pytest.mark.servers, pytest.mark.timeout(240)]

_SHORT = ("a failed commit is answered as done",)
TRIED = [
    mutant for mutant in MUTANTS
    if os.environ.get("CHAOS_MUTANTS") == "all" or mutant.name in _SHORT
]  # fmt: skip


def test_no_promise_breaks_while_everything_else_does() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    with private_folder() as folder, raised_rig(folder) as rig:
        faults = plan(seed, 22, with_clock=bool(rig.clocks))
        config = Config(seed=seed, faults=faults, votes=5_000, sockets=60, rate=300)
        report = uvloop.run(run(rig, config))
    print(report.text())
    assert not report.violations, report.text()


@pytest.mark.parametrize("mutant", TRIED, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_deliberate_bug_is_caught(mutant: Mutant) -> None:
    with private_folder() as folder, source_copy(folder) as root:
        mutant.apply(root)
        with raised_rig(folder, root=root) as rig:
            config = Config(seed=1, faults=mutant.faults, votes=1_500, sockets=40, rate=400)
            report = uvloop.run(run(rig, config))
    assert mutant.rule in report.broken(), report.text()


def test_every_rule_has_a_mutant() -> None:
    assert {mutant.rule for mutant in MUTANTS} == set(RULES)
