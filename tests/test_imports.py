"""The house's one-way rule: livepoll → web, realtime, replay → polls → its pure modules.

A room is a package at the top of the repository. A new one may import polls and nothing
else; what goes beyond that is declared in MAY_IMPORT, where a reviewer sees it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_ROOMS = {"tests", "bench", "deploy"}  # around the house, never imported by it
DEFAULT = frozenset({"polls"})

MAY_IMPORT: dict[str, frozenset[str]] = {
    "polls": frozenset(),
}
MAY_IMPORT_EVERY_ROOM = {"livepoll"}

# The rules, which can be read, tested and reused without a web framework.
PURE_PACKAGE = "polls.rules"
FRAMEWORKS = {
    "django",
    "rest_framework",
    "channels",
    "asgiref",
    "redis",
    "psycopg2",
    "drf_spectacular",
}


def rooms() -> set[str]:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return folders - NOT_ROOMS


def modules(room: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of all that a file imports, inside functions and by name too."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield node.lineno, name.name
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package[: len(package) - level + 1] if level else ()
                origin = ".".join([*above, *([module] if module else [])])
                for name in names:
                    yield node.lineno, f"{origin}.{name.name}"
            case ast.Call(
                func=ast.Name(id="import_module" | "import_string")
                | ast.Attribute(attr="import_module" | "import_string"),
                args=[ast.Constant(value=str(target)), *_],
            ):
                yield node.lineno, target


def breaches(room: str, allowed: set[str] | frozenset[str]) -> list[str]:
    """Imports of `room` from rooms that are neither itself nor allowed."""
    others = (rooms() | NOT_ROOMS) - {room} - allowed
    return [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for _, path in modules(room)
        for line, target in imports(path)
        if target.split(".")[0] in others
    ]


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = rooms() if room in MAY_IMPORT_EVERY_ROOM else MAY_IMPORT.get(room, DEFAULT)
    assert breaches(room, allowed) == []


def test_nothing_is_declared_for_rooms_that_do_not_exist() -> None:
    named = set(MAY_IMPORT) | MAY_IMPORT_EVERY_ROOM
    named |= {name for allowed in MAY_IMPORT.values() for name in allowed}
    assert named <= rooms()


def test_declared_imports_run_one_way() -> None:
    def reaches(start: str, goal: str, seen: frozenset[str] = frozenset()) -> bool:
        following = MAY_IMPORT.get(start, DEFAULT) - seen
        return goal in following or any(reaches(n, goal, seen | {n}) for n in following)

    assert [room for room in rooms() if reaches(room, room)] == []


def is_pure(module: str) -> bool:
    return module == PURE_PACKAGE or module.startswith(f"{PURE_PACKAGE}.")


@pytest.mark.parametrize(
    "path", [path for module, path in modules("polls") if is_pure(module)], ids=lambda one: one.stem
)
def test_a_pure_module_knows_no_framework_and_no_impure_neighbour(path: Path) -> None:
    breaches = [
        f"line {line}: {target}"
        for line, target in imports(path)
        if target.split(".")[0] in FRAMEWORKS
        or (target.split(".")[0] in rooms() and not is_pure(target))
    ]
    assert breaches == []
