"""Imports run one way: livepoll → web, realtime, accounts, exports, replay → polls, and within
polls from each layer to lower ones.

A new package at the top of the repository may import polls and nothing else; what goes beyond
that is declared in MAY_IMPORT, where a reviewer sees it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_PACKAGES = {"tests", "bench", "deploy"}  # around the application, never imported by it
DEFAULT = frozenset({"polls"})

MAY_IMPORT: dict[str, frozenset[str]] = {
    "polls": frozenset(),
}
MAY_IMPORT_EVERY_PACKAGE = {"livepoll"}

# polls from the lowest layer to the highest: folders, and modules that stand beside them. Each
# imports itself and what is lower; neighbours on a line do not know each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("rules",),
    ("errors", "draining", "models", "metrics", "security_events", "apps"),
    ("refs", "events"),
    ("database",),
    ("selectors",),
    ("identity",),
    ("voting",),
    ("services", "recount", "poll_json"),
    ("results",),
    ("http",),
    ("api", "admin", "management"),
)
# The rules of counting, which can be read, tested and reused without a web framework.
PURE = "polls.rules"
FRAMEWORKS = {
    "django",
    "rest_framework",
    "channels",
    "asgiref",
    "redis",
    "psycopg2",
    "asyncpg",
    "drf_spectacular",
}


def packages() -> set[str]:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return folders - NOT_PACKAGES


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
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


def breaches(package: str, allowed: set[str] | frozenset[str]) -> list[str]:
    """Imports of `package` from packages that are neither itself nor allowed."""
    others = (packages() | NOT_PACKAGES) - {package} - allowed
    return [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for _, path in modules(package)
        for line, target in imports(path)
        if target.split(".")[0] in others
    ]


@pytest.mark.parametrize("package", sorted(packages()))
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = (
        packages() if package in MAY_IMPORT_EVERY_PACKAGE else MAY_IMPORT.get(package, DEFAULT)
    )
    assert breaches(package, allowed) == []


def test_nothing_is_declared_for_rooms_that_do_not_exist() -> None:
    named = set(MAY_IMPORT) | MAY_IMPORT_EVERY_PACKAGE
    named |= {name for allowed in MAY_IMPORT.values() for name in allowed}
    assert named <= packages()


def test_declared_imports_run_one_way() -> None:
    def reaches(start: str, goal: str, seen: frozenset[str] = frozenset()) -> bool:
        following = MAY_IMPORT.get(start, DEFAULT) - seen
        return goal in following or any(reaches(n, goal, seen | {n}) for n in following)

    assert [package for package in packages() if reaches(package, package)] == []


def layer_of(module: str) -> str:
    """The folder or module of polls that `polls.…` stands in."""
    return module.split(".")[1]


def test_every_module_of_polls_has_its_layer() -> None:
    found = {layer_of(module) for module, _ in modules("polls") if "." in module}
    assert found - {"migrations"} == {name for layer in LAYERS for name in layer}


@pytest.mark.parametrize("layer", [name for layer in LAYERS for name in layer])
def test_a_layer_imports_lower_ones_only(layer: str) -> None:
    place = next(number for number, names in enumerate(LAYERS) if layer in names)
    allowed = {layer}.union(*LAYERS[:place])
    breaches = [
        f"{module}:{line} imports {target}"
        for module, path in modules("polls")
        if module.startswith(f"polls.{layer}")
        for line, target in imports(path)
        if target.startswith("polls.") and layer_of(target) not in allowed
    ]
    assert breaches == []


def test_the_rules_know_no_framework() -> None:
    breaches = [
        f"{module}:{line} imports {target}"
        for module, path in modules("polls")
        if module.startswith(PURE)
        for line, target in imports(path)
        if target.split(".")[0] in FRAMEWORKS
    ]
    assert breaches == []
