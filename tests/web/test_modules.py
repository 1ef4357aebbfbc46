"""The scripts hang together: what imports name is there, and pages preload what they run."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command

import web
from web.storage import ModuleStaticFilesStorage

WEB = Path(web.__file__).parent
MODULES = WEB / "static" / "web" / "js"
IMPORT = re.compile(r'^(?:import|\}) ?[^"]*"\./([^"]+)";$', re.MULTILINE)
PRELOADS = re.compile(r'{% module_preloads "([^"]+)" %}')
PAGES = ("start", "new", "vote", "live", "manage")


def imports(name: str) -> set[str]:
    return {
        file.removesuffix(".js") for file in IMPORT.findall((MODULES / f"{name}.js").read_text())
    }


def all_imports(name: str) -> set[str]:
    """What a module runs besides itself."""
    found: set[str] = set()
    waiting = imports(name)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= imports(module) - found
    return found


@pytest.mark.parametrize("path", sorted(MODULES.glob("*.js")), ids=lambda path: path.stem)
def test_a_module_says_what_it_is_and_imports_what_exists(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("// ")
    named = re.findall(r'from "(.+)"|^import "(.+)"', text, re.MULTILINE)
    for target in [one or other for one, other in named]:
        assert (MODULES / target).is_file(), target
    assert len(named) == len(imports(path.stem))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_preloads_exactly_the_modules_it_runs(page: str) -> None:
    template = (WEB / "templates" / "web" / f"{page}.html").read_text()
    match = PRELOADS.search(template)
    assert match
    names = match[1].split()
    assert len(names) == len(set(names))
    assert set(names) == all_imports(f"page_{page}")


@pytest.mark.parametrize(
    ("condition", "entries"),
    [
        ('kind == "ranked"', ("rounds", "ballot_ranked")),
        ('voter_policy == "account"', ("sign_in",)),
    ],
)
def test_the_vote_page_preloads_what_only_this_poll_needs(
    condition: str, entries: tuple[str, ...]
) -> None:
    """They come by `import()`, and never where they are not needed: see the budget."""
    template = (WEB / "templates" / "web" / "vote.html").read_text()
    match = re.search(f'{{% if poll.{condition} %}}{{% module_preloads "([^"]+)" %}}', template)
    assert match
    needed = set(entries).union(*map(all_imports, entries)) - all_imports("page_vote")
    assert set(match[1].split()) == needed
    script = (MODULES / "page_vote.js").read_text()
    for name in entries:
        assert f'import("./{name}.js")' in script


def test_no_text_is_ever_put_into_a_page_as_markup() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(")
    assert [path.name for path in MODULES.glob("*.js") if forbidden.search(path.read_text())] == []


def test_collected_modules_import_each_other_by_their_hashed_names(
    tmp_path: Path, settings: object
) -> None:
    settings.STATIC_ROOT = tmp_path  # type: ignore[attr-defined]
    settings.STORAGES = {  # type: ignore[attr-defined]
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "web.storage.ModuleStaticFilesStorage"},
    }
    others = ["drf_spectacular_sidecar*", "rest_framework*", "admin*", "polls*"]
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=others)
    storage = ModuleStaticFilesStorage(location=tmp_path)
    for path in MODULES.glob("page_*.js"):
        collected = tmp_path / storage.stored_name(f"web/js/{path.name}")
        text = collected.read_text()
        named = IMPORT.findall(text)
        assert len(named) == len(imports(path.stem))
        for name in named + re.findall(r'import\("\./([^"]+)"\)', text):
            assert re.fullmatch(r"\w+\.[0-9a-f]{12}\.js", name), name
            assert (collected.parent / name).is_file()


def test_the_fonts_are_ours_to_give_and_come_with_their_licence() -> None:
    licence = finders.find("web/font/LICENSE.txt")
    assert licence
    assert "SIL Open Font License" in Path(licence).read_text()
