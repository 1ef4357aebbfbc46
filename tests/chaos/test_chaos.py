"""The short chaos run, and the mutants that it must catch.

CHAOS_SEED repeats a run. The long form has more faults, and every mutant instead of one.
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
from tests.sizes import LONG, sized

pytestmark = [pytest.mark.chaos, pytest.mark.servers, pytest.mark.timeout(240)]

_SHORT = ("a failed commit is answered as done",)
TRIED = [
    mutant for mutant in MUTANTS
    if LONG or mutant.name in _SHORT
]  # fmt: skip


@pytest.mark.alone
def test_no_promise_breaks_while_everything_else_does() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    with private_folder() as folder, raised_rig(folder) as rig:
        faults = plan(seed, sized(short=11, long=22), with_clock=bool(rig.clocks))
        votes = sized(short=2_500, long=5_000)
        config = Config(seed=seed, faults=faults, votes=votes, sockets=60, rate=300)
        report = uvloop.run(run(rig, config))
    print(report.text())
    assert not report.violations, report.text()


@pytest.mark.alone
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
