"""The units of the scripts, run by Node."""

import re
from pathlib import Path

import pytest

from tests.web.node import run_node

UNITS = Path(__file__).parent.parent / "js"


def run_units(path: Path) -> tuple[int, str]:
    """Run a file of units; whether it failed, and what there is to read about it."""
    return run_node(
        "--test",
        "--test-reporter=spec",
        # The scripts are modules by what is in them; no package.json has to say so.
        "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
        path,
    )


@pytest.mark.parametrize("path", sorted(UNITS.glob("*.test.mjs")), ids=lambda path: path.stem)
def test_units(path: Path) -> None:
    failed, said = run_units(path)
    if failed:
        pytest.fail(said, pytrace=False)
    counts = dict(re.findall(r"^\S (pass|fail|skipped|todo) (\d+)$", said, re.MULTILINE))
    assert int(counts.pop("pass")) > 0
    assert counts == {"fail": "0", "skipped": "0", "todo": "0"}


def test_a_failing_unit_is_reported_with_what_it_got(tmp_path: Path) -> None:
    unit = tmp_path / "wrong.test.mjs"
    unit.write_text(
        'import assert from "node:assert/strict";\nimport { it } from "node:test";\n'
        'it("adds up", () => assert.equal(1 + 1, 3));\n'
    )
    failed, said = run_units(unit)
    assert failed
    assert "adds up" in said
    assert "2 !== 3" in said
