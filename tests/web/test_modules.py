"""The scripts hang together: what imports name is there, and pages preload what they run."""

import re
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client

import web
from polls.services import create_poll
from tests.polls.kinds.states import option_texts
from web.kinds import KINDS
from web.storage import ModuleStaticFilesStorage

WEB = Path(web.__file__).parent
MODULES = WEB / "static" / "web" / "js"
ALL_MODULES = sorted(MODULES.rglob("*.js"))
IMPORT = re.compile(r'^(?:import|\}) ?[^"]*"(\.[^"]+)";$', re.MULTILINE)
DYNAMIC = re.compile(r'import\("([^"]+)"\)')
PRELOADED = re.compile(r'<link rel="modulepreload" href="/static/web/js/([^"]+)\.js">')


def name_of(path: Path) -> str:
    """The name of a module: its path without the ending."""
    return path.relative_to(MODULES).with_suffix("").as_posix()


def imports(name: str) -> set[str]:
    text = (MODULES / f"{name}.js").read_text()
    return {
        normpath(join(dirname(name), file)).removesuffix(".js") for file in IMPORT.findall(text)
    }


def later_imports(name: str) -> set[str]:
    text = (MODULES / f"{name}.js").read_text()
    return {
        normpath(join(dirname(name), file)).removesuffix(".js") for file in DYNAMIC.findall(text)
    }


def all_imports(*names: str, later: bool = False) -> set[str]:
    """What modules run besides themselves; with what they may load later on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        named = imports(name) | (later_imports(name) if later else set())
        waiting += named - found
        found |= named
    return found


@pytest.mark.parametrize("path", ALL_MODULES, ids=name_of)
def test_a_module_says_what_it_is_and_imports_what_exists(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("// ")
    named = re.findall(r'from "(.+)"|^import "(.+)"', text, re.MULTILINE)
    for target in [one or other for one, other in named] + DYNAMIC.findall(text):
        assert (path.parent / target).is_file(), target
    assert len(named) == len(imports(name_of(path)))


def test_no_modules_import_each_other_in_a_circle() -> None:
    """A file whose name is the hash of its content cannot name one that names it."""
    assert [
        name for name in map(name_of, ALL_MODULES) if name in all_imports(name, later=True)
    ] == []


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", ["vote", "live", "manage"])
@pytest.mark.parametrize("policy", ["device", "account"])
def test_a_page_of_a_poll_preloads_exactly_what_it_runs(
    client: Client, page: str, kind: str, policy: str
) -> None:
    options = option_texts(kind, 2)
    poll, _ = create_poll(
        question="Which?", options=options, kind=kind, max_choices=1, voter_policy=policy
    )
    later = {f"kinds/{kind}"}
    if page == "vote" and policy == "account":
        later.add("sign_in")
    path = f"/p/{poll.code}/" + ("" if page == "vote" else f"{page}/")
    html = client.get(path).content.decode()
    preloaded = PRELOADED.findall(html)
    assert len(preloaded) == len(set(preloaded))
    assert set(preloaded) == later | all_imports(f"page_{page}", *later)
    assert f'data-kind="{kind}"' in html


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "page", "later"),
    [
        ("/", "page_start", {"kinds/choices"}),
        ("/new/", "page_new", {f"kinds/{kind}" for kind in KINDS}),
    ],
)
def test_the_other_pages_preload_exactly_what_they_run(
    client: Client, path: str, page: str, later: set[str]
) -> None:
    preloaded = PRELOADED.findall(client.get(path).content.decode())
    assert len(preloaded) == len(set(preloaded))
    assert set(preloaded) == later | all_imports(page, *later)


def test_no_text_is_ever_put_into_a_page_as_markup() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(")
    assert [path.name for path in ALL_MODULES if forbidden.search(path.read_text())] == []


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
    for path in ALL_MODULES:
        collected = tmp_path / storage.stored_name(f"web/js/{name_of(path)}.js")
        text = collected.read_text()
        named = IMPORT.findall(text)
        assert len(named) == len(imports(name_of(path)))
        for name in named + DYNAMIC.findall(text):
            assert re.fullmatch(r"[\w./]+\.[0-9a-f]{12}\.js", name), name
            assert (collected.parent / name).is_file()


def test_the_fonts_are_ours_to_give_and_come_with_their_licence() -> None:
    licence = finders.find("web/font/LICENSE.txt")
    assert licence
    assert "SIL Open Font License" in Path(licence).read_text()
