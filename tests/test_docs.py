"""The documents are held to the code: settings, commands, error codes and links."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def documents() -> list[Path]:
    folders = [path for path in ROOT.iterdir() if (path / "__init__.py").exists()]
    found = [path for folder in (*folders, ROOT / "docs") for path in folder.rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *(one for one in found if "node_modules" not in one.parts)])


def settings_read() -> list[str]:
    """The name in every env.xxx("NAME", …) of the settings."""
    tree = ast.parse((ROOT / "livepoll" / "settings.py").read_text())
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="env")) | ast.Name(id="env"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                names.add(name)
    return sorted(names)


def example_names() -> set[str]:
    text = (ROOT / ".env.example").read_text()
    return set(re.findall(r"^(?:# ?)?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))


@pytest.mark.parametrize("name", settings_read())
def test_a_setting_is_in_the_example_and_in_the_operations_guide(name: str) -> None:
    assert name in example_names()
    assert f"`{name}`" in (ROOT / "docs" / "operations.md").read_text()


def test_the_example_names_nothing_that_is_not_read() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    read = set(settings_read()) | set(re.findall(r"\$\{([A-Z][A-Z0-9_]+)", compose))
    assert example_names() - read == set()


def make_commands() -> Iterator[tuple[str, str]]:
    """Every `make target` that stands in a document's code, inline or fenced."""
    for path in documents():
        text = path.read_text()
        code = re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)
        for target in re.findall(r"(?:^|[\s`])make +([a-z][a-z-]*)", "\n".join(code), re.MULTILINE):
            yield path.name, target


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert {command for command in make_commands() if command[1] not in targets} == set()


def error_classes() -> list[tuple[str, int]]:
    errors = import_module("polls.errors")
    waiting, found = [errors.PollError], []
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind is not errors.PollError and "code" in vars(kind):
            found.append((kind.code, kind.status))
    return sorted(found)


def test_every_error_code_is_documented_with_its_status() -> None:
    lines = (ROOT / "docs" / "errors.md").read_text().splitlines()
    missing = [
        f"{code} ({status})"
        for code, status in error_classes()
        if not any(f"`{code}`" in line and str(status) in line for line in lines)
    ]
    assert missing == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in documents()
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", path.read_text())
        if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists()
    ]
    assert broken == []


# Paths in the documents that only running livepoll, or reading on, brings into being.
MADE_LATER = {"sbom.json", "watch.py", "polls/rules/kinds/retro.py"}
MADE_BY_RUNNING = ("data/", "test-artifacts/")
FILE = re.compile(r"[\w./-]+\.(?:css|html|js|json|md|mjs|py|template|toml|txt|ya?ml)")


def paths_in(text: str) -> Iterator[str]:
    """What stands in backticks and is a file's name, or begins with a folder of the repository."""
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        first, slash, _ = code.partition("/")
        is_path = re.fullmatch(r"[\w./-]+/?", code) and first and slash and (ROOT / first).is_dir()
        if is_path or FILE.fullmatch(code):
            yield code


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_in_a_document_exists(document: Path) -> None:
    """From the root, from the document, or inside a folder that the document names."""
    text = document.read_text()
    paths = [
        path
        for path in paths_in(text)
        if path not in MADE_LATER and not path.startswith(MADE_BY_RUNNING)
    ]
    folders = {ROOT, document.parent, *(ROOT / path for path in re.findall(r"`([\w/-]+)/`", text))}
    missing = [path for path in paths if not any((folder / path).exists() for folder in folders)]
    assert missing == []


def test_a_path_that_is_gone_is_found() -> None:
    text = "`polls/reader.py`, `realtime/garbage`, `door_guard.py`, `200/second`, `text/csv`"
    assert list(paths_in(text)) == ["polls/reader.py", "realtime/garbage", "door_guard.py"]


def test_every_metric_is_documented_by_the_name_that_prometheus_sees() -> None:
    from prometheus_client import generate_latest

    import_module("polls.metrics")
    import_module("polls.security_events")
    import_module("realtime.metrics")
    import_module("livepoll.transport.metrics")
    shown = re.findall(r"^# HELP (livepoll_\w+)", generate_latest().decode(), re.MULTILINE)
    names = {name for name in shown if not name.endswith("_created")}
    documented = re.findall(r"^\| `(livepoll_\w+)`", _operations(), re.MULTILINE)
    assert set(documented) == names


def test_every_limit_is_documented_with_its_value() -> None:
    from polls.rules.limits import LIMITS

    lines = _operations().partition("## Fixed limits")[2].splitlines()
    for name, value in LIMITS.items():
        line = next(line for line in lines if f"`{name}`" in line)
        assert str(value) in line, name


def test_every_credential_that_is_counted_is_documented() -> None:
    from polls.rules.credentials import Credential

    events = (ROOT / "docs" / "security-events.md").read_text()
    counted_apart = {Credential.PASSWORD}  # as sign_in_failed
    assert [one for one in {*Credential} - counted_apart if f"`{one}`" not in events] == []


def _operations() -> str:
    return (ROOT / "docs" / "operations.md").read_text()


def test_the_glossary_is_short() -> None:
    glossary = (ROOT / "docs" / "architecture.md").read_text().partition("## Words of our own")[2]
    terms = re.findall(r"^\| ([a-z].*?) \|", glossary, re.MULTILINE)
    assert 0 < len(terms) <= 15
