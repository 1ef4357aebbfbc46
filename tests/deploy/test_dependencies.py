"""Every package says what it is for; no page explains one that is gone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("file", "heading"),
    [("requirements.txt", "Runtime"), ("requirements-dev.txt", "Development")],
)
def test_each_requirement_has_its_line(file: str, heading: str) -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / file).read_text(), re.MULTILINE)
    page = (ROOT / "docs" / "dependencies.md").read_text()
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w.-]+)`", section, re.MULTILINE) == pinned
