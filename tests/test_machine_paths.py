"""No file of the repository depends on, or names, the machine that it was written on."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {
    *(".git", ".venv", ".env", "node_modules", "__pycache__", "data", "staticfiles"),
    *("test-artifacts", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
}
# In pieces, so that this file does not find itself.
MACHINE_PATHS = re.compile(
    r"(?<![\w.~-])(?:/(?:wo" r"rk|opt/py" r"pi)/|/(?:ho" r"me|Us" r"ers)/\w+/|/ro" r"ot/\w)"
)


def files() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        if Path(folder) == ROOT or ".git" in folders:
            folders[:] = [name for name in folders if name not in NOT_OURS]
        folders[:] = [name for name in folders if name not in {"__pycache__", "node_modules"}]
        yield from (Path(folder) / name for name in names if name not in NOT_OURS)


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(text.splitlines(), start=1)
            if MACHINE_PATHS.search(line)
        ]
    assert found == []
