"""docs/security-tests.md and docs/asvs.md: nothing is left out, and every test named exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROMISES = ROOT / "docs" / "security-tests.md"
ASVS = ROOT / "docs" / "asvs.md"
TEST_NAME = re.compile(r"`((?:\w+/)*test_\w+\.py(?:::\w+)*)`")
# Not about what is promised.
PROSE_SECTIONS = {"Security", "Reporting", "Threats"}
# How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; they are numbered from 1.
REQUIREMENTS = {
    "V1.1": 2, "V1.2": 9, "V1.3": 11, "V1.4": 3, "V1.5": 2, "V2.1": 3, "V2.2": 3, "V2.3": 4,
    "V2.4": 1, "V3.2": 2, "V3.3": 4, "V3.4": 6, "V3.5": 5, "V3.7": 2, "V4.1": 3, "V4.2": 1,
    "V4.3": 2, "V4.4": 4, "V5.1": 1, "V5.2": 3, "V5.3": 2, "V5.4": 3, "V6.1": 3, "V6.2": 12,
    "V6.3": 4, "V6.4": 4, "V6.5": 5, "V6.6": 3, "V6.8": 4, "V7.1": 3, "V7.2": 4, "V7.3": 2,
    "V7.4": 5, "V7.5": 2, "V7.6": 2, "V8.1": 2, "V8.2": 3, "V8.3": 1, "V8.4": 1, "V9.1": 3,
    "V9.2": 4, "V10.1": 2, "V10.2": 2, "V10.3": 4, "V10.4": 11, "V10.5": 5, "V10.6": 2,
    "V10.7": 3, "V11.1": 2, "V11.2": 3, "V11.3": 3, "V11.4": 4, "V11.5": 1, "V11.6": 1,
    "V12.1": 3, "V12.2": 2, "V12.3": 4, "V13.1": 1, "V13.2": 5, "V13.3": 2, "V13.4": 5,
    "V14.1": 2, "V14.2": 4, "V14.3": 3, "V15.1": 3, "V15.2": 3, "V15.3": 7, "V16.1": 1,
    "V16.2": 5, "V16.3": 4, "V16.4": 3, "V16.5": 3, "V17.1": 1, "V17.2": 4, "V17.3": 2,
}  # fmt: skip


class Claim(NamedTuple):
    """A row of a table: what is claimed (`state` of ASVS alone), and by which tests."""

    subject: str
    state: str
    evidence: str

    @property
    def tests(self) -> list[str]:
        return TEST_NAME.findall(self.evidence)


def rows(path: Path, columns: int) -> Iterator[list[str]]:
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        is_head = cells[0] in ("Section", "Requirement", "Advice") or line.startswith("|---")
        if line.startswith("|") and not is_head and len(cells) == columns:
            yield cells


def asvs() -> list[Claim]:
    return [Claim(*cells[:1], *cells[2:]) for cells in rows(ASVS, 4)]


def cheat_sheet() -> list[Claim]:
    return [Claim(*cells) for cells in rows(ASVS, 3)]


def squeezed(text: str) -> str:
    return " ".join(text.split())


@cache
def names_in(file: Path) -> set[str]:
    """Tests of a file; those of a class by their own names and as Class::test."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names = [one.name for one in node.body if hasattr(one, "name")]
            found |= {*names, *(f"{node.name}::{name}" for name in names)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def exists(test: str) -> bool:
    name, _, function = test.partition("::")
    file = ROOT / "tests" / name
    return file.is_file() and (not function or function in names_in(file))


def test_every_section_of_the_security_page_has_a_promise_that_stands_in_it() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    sections = {name: squeezed(body).replace("**", "") for name, body in pairs}
    promised = list(rows(PROMISES, 3))
    assert {section for section, _, _ in promised} == set(sections) - PROSE_SECTIONS
    lost = [(section, phrase) for section, phrase, _ in promised if phrase not in sections[section]]
    assert lost == []


def test_every_promise_names_tests_that_exist() -> None:
    for section, phrase, tests in rows(PROMISES, 3):
        assert TEST_NAME.findall(tests), (section, phrase)
    named = [test for *_, cell in rows(PROMISES, 3) for test in TEST_NAME.findall(cell)]
    assert [test for test in named if not exists(test)] == []


def test_no_requirement_of_the_standard_is_left_out() -> None:
    listed = []
    for claim in asvs():
        match = re.fullmatch(r"(V\d+\.\d+)\.(\d+)(?: to (\d+))?", claim.subject)
        assert match, claim
        first, last = int(match[2]), int(match[3] or match[2])
        listed += [(match[1], number) for number in range(first, last + 1)]
    wanted = [(section, n) for section, most in REQUIREMENTS.items() for n in range(1, most + 1)]
    assert sum(REQUIREMENTS.values()) == 253
    assert listed == wanted


@pytest.mark.parametrize("table", [asvs, cheat_sheet])
def test_what_is_held_names_tests_that_exist_and_the_rest_a_reason(table: object) -> None:
    assert callable(table)
    claims: list[Claim] = table()
    assert claims
    assert {claim.state for claim in claims} <= {"held", "not applicable", "open"}
    for claim in claims:
        assert claim.tests if claim.state == "held" else claim.evidence, claim
    assert [t for claim in claims for t in claim.tests if not exists(t)] == []


def test_the_totals_are_right() -> None:
    counts = dict.fromkeys(("held", "not applicable", "open"), 0)
    for claim in asvs():
        first, _, last = claim.subject.rpartition(".")[2].partition(" to ")
        counts[claim.state] += int(last or first) - int(first) + 1
    said = re.search(
        r"(\d+) are held, (\d+) not applicable, (\d+) open", squeezed(ASVS.read_text())
    )
    assert said
    assert [int(number) for number in said.groups()] == list(counts.values())
