"""The scripts hang together: what imports name is there, and pages have all that they may run."""

import re
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest
from django.contrib.staticfiles import finders
from django.test import Client, RequestFactory

import web
from livepoll.outage_page import outage_response
from polls.errors import Overloaded
from polls.services import create_poll
from tests.polls.kinds.states import option_texts
from web import page_files
from web.kinds import KINDS

WEB = Path(web.__file__).parent
MODULES = WEB / "static" / "web" / "js"
ALL_MODULES = sorted(MODULES.rglob("*.js"))
IMPORT = re.compile(r'^(?:import|\}) ?[^"]*"(\.[^"]+)";$', re.MULTILINE)
DYNAMIC = re.compile(r'import\("([^"]+)"\)')


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
    """Which of them would run first?"""
    assert [
        name for name in map(name_of, ALL_MODULES) if name in all_imports(name, later=True)
    ] == []


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", ["vote", "live", "manage"])
def test_a_page_of_a_poll_has_one_script_and_one_style_sheet(
    client: Client, page: str, kind: str
) -> None:
    options = option_texts(kind, 2)
    poll, _ = create_poll(question="Which?", options=options, kind=kind, max_choices=1)
    html = read(client, f"/p/{poll.code}/" + ("" if page == "vote" else f"{page}/"))
    check_files(client, html, page)
    assert f'data-kind="{kind}"' in html


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "page"), [("/", "start"), ("/new/", "new"), ("/p/NNNNNN/", "not_found")]
)
def test_the_other_pages_have_one_script_and_one_style_sheet(
    client: Client, path: str, page: str
) -> None:
    check_files(client, read(client, path), page)


def test_the_page_of_an_outage_has_them_too(client: Client) -> None:
    response = outage_response(RequestFactory().get("/"), Overloaded())
    check_files(client, response.content.decode(), "outage")


def read(client: Client, path: str) -> str:
    return client.get(path, headers={"Accept-Language": "en"}).content.decode()


def check_files(client: Client, html: str, page: str) -> None:
    """The page asks for these files, which hold all that it needs, and browsers keep them."""
    html = re.sub(r"<noscript>.*?</noscript>", "", html)
    *_, script = scripts = re.findall(r'<script [^>]*src="([^"]+)"', html)
    (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', html)
    assert len(scripts) == 2
    assert scripts[0].startswith("/static/web/js/theme.")
    assert re.fullmatch(rf"/scripts/{page}\.en\.[0-9a-f]{{12}}\.js", script)
    assert re.fullmatch(rf"/styles/{page}\.[0-9a-f]{{12}}\.css", style)
    for path, kind in ((script, "text/javascript"), (style, "text/css")):
        response = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert response.headers["Content-Encoding"] == "gzip"
    modules = re.findall(r"^// ([\w/]+)\.js$", read(client, script), re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert set(modules) == {f"page_{page}"} | all_imports(f"page_{page}", later=True)


def test_a_page_of_another_version_gets_the_files_of_this_one_and_does_not_keep_them(
    client: Client,
) -> None:
    for path, file in (
        ("/scripts/vote.de.000000000000.js", page_files.script("vote", "de")),
        ("/styles/vote.000000000000.css", page_files.style("vote")),
    ):
        response = client.get(path)
        assert response.content.decode() == file.text
        assert response.headers["Cache-Control"] == "no-store"


def test_there_are_files_of_pages_in_languages_and_of_nothing_else(client: Client) -> None:
    for path in ("/scripts/none.en.0.js", "/scripts/vote.xx.0.js", "/styles/none.0.css"):
        assert client.get(path).status_code == 404


def test_a_style_sheet_has_its_rules_in_their_order_and_its_fonts(client: Client) -> None:
    text = page_files.style("live").text
    base, poll, screen = (text.index(rule) for rule in (":root {", ".vote-head {", ".screen {"))
    assert base < poll < screen
    for path in re.findall(r'url\("([^"]+)"\)', text):
        assert finders.find(path.removeprefix("/static/")), path
    assert "/static/web/font/figtree.woff2" in text


def test_where_files_change_the_addresses_do(
    tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True  # type: ignore[attr-defined]
    before = page_files.script("vote", "en")
    changed = tmp_path / "dom.js"
    changed.write_text((MODULES / "dom.js").read_text() + "const more = 1;\n")
    found = finders.find
    with monkeypatch.context() as patched:
        patched.setattr(
            finders, "find", lambda path: changed if path == "web/js/dom.js" else found(path)
        )
        after = page_files.script("vote", "en")
    assert "const more = 1;" in after.text
    assert after.url != before.url
    assert page_files.script("vote", "en") == before


def test_no_text_is_ever_put_into_a_page_as_markup() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(")
    assert [path.name for path in ALL_MODULES if forbidden.search(path.read_text())] == []


def test_the_fonts_are_ours_to_give_and_come_with_their_licence() -> None:
    licence = finders.find("web/font/LICENSE.txt")
    assert licence
    assert "SIL Open Font License" in Path(licence).read_text()
