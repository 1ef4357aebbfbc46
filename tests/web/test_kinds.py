"""A kind of poll is one ES module and one template part, and nothing else knows its name."""

import re
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from django.test import Client

import web
from polls.services import create_poll
from tests.e2e.scenes import SCENES
from tests.polls.kinds import recipe
from web.kinds import KINDS
from web.messages import messages_of
from web.modules import may_run

WEB = Path(web.__file__).parent
MODULES = WEB / "static" / "web" / "js"
TEMPLATES = WEB / "templates"
KIND_MODULES = MODULES / "kinds"
KIND_TEMPLATES = TEMPLATES / "web" / "kinds"

SCRIPTS = sorted(path for path in MODULES.rglob("*.js") if KIND_MODULES not in path.parents)
PAGES = sorted(path for path in TEMPLATES.rglob("*.html") if KIND_TEMPLATES not in path.parents)
PYTHON = sorted(WEB.glob("*.py"))

NAME = re.compile(rf"""(?P<quote>["'`])(?:{"|".join(KINDS)})(?P=quote)""")
COMPARED = re.compile(
    r"\bkind\b(?:\(\))?(?:\.name)?\s*[!=]==?"  # kind === …
    r"|[!=]==?\s*(?:\w+\??\.)*kind(?:Name)?\b"  # … === poll.kind
    r"|switch\s*\([^)]*\bkind\b"
    r"|\bmatch\b.*\bkind\b"
)


def asks_for_a_kind(text: str) -> list[str]:
    """Lines that name a kind of poll, or compare one."""
    return [
        line.strip() for line in text.splitlines() if NAME.search(line) or COMPARED.search(line)
    ]


@pytest.mark.parametrize(
    "path", [*SCRIPTS, *PAGES, *PYTHON], ids=lambda path: str(path.relative_to(WEB))
)
def test_nothing_but_its_own_files_asks_for_a_kind(path: Path) -> None:
    assert asks_for_a_kind(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        *(f'const wanted = "{kind}";' for kind in KINDS),
        *("if (poll.kind === other) draw();", "if (kind() !== other) draw();"),
        *("show(box, name === poll.kind);", "show(box, name == poll?.kind);"),
        *("switch (poll.kind) {", "if (kind.name === name) draw();"),
        *("{% if poll.kind == 'ranked' %}", '{% if kind == "ranked" %}', "    match poll.kind:"),
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert asks_for_a_kind(line) == [line.strip()]


def test_each_kind_has_its_module_and_its_template_part_and_is_registered() -> None:
    registered = {name.removeprefix("kinds/") for name in may_run(["kinds/registry"])}
    assert set(KINDS) <= registered
    for kind in KINDS.values():
        assert (MODULES / f"{kind.module}.js").is_file()
        assert (TEMPLATES / kind.template).is_file()
    assert {path.stem for path in KIND_TEMPLATES.iterdir()} == set(KINDS)
    shared = {"protocol", "registry", "choices"}
    assert {path.stem for path in KIND_MODULES.iterdir()} - shared == set(KINDS)


def test_a_kind_does_not_run_another() -> None:
    for kind in KINDS.values():
        others = {other.module for other in KINDS.values()} - {kind.module}
        assert not others & set(may_run([kind.module]))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_template_part_has_a_tile_with_the_kind_and_what_it_is(kind: object) -> None:
    name, template = kind.name, kind.template  # type: ignore[attr-defined]
    tile = render_to_string(template, {"part": "tile", "kind": kind, "checked": True})
    assert f'name="kind" value="{name}" checked' in tile
    assert re.search(r"<b>[^<]+</b><span>[^<]+</span>", tile)
    assert "checked" not in render_to_string(template, {"part": "tile", "kind": kind})
    fields = render_to_string(template, {"part": "fields", "kind": kind})
    assert "tile" not in fields
    # What a kind adds stays hidden until the kind is chosen.
    for group in re.findall(r"<fieldset[^>]*>", fields):
        assert " hidden" in group
        named = re.search(r'data-fields="([^"]+)"', group)
        assert named
        assert f'"{named[1]}"' in (MODULES / f"kinds/{name}.js").read_text()


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["", "live/", "manage/"])
def test_a_poll_of_a_kind_without_pages_says_so(client: Client, page: str) -> None:
    with recipe.carried_out():
        poll, _ = create_poll(question="How was it?", options=[], kind=recipe.NAME)
        answer = client.get(f"/p/{poll.code}/{page}")
        assert answer.status_code == 404
        assert "No page for this poll" in answer.content.decode()
        assert client.get(f"/p/{poll.code}/qr.svg").status_code == 200
        assert client.get("/").status_code == 200
        assert recipe.NAME not in client.get("/new/").content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_picture_of_its_ballot_and_of_its_results(kind: str) -> None:
    paths = [scene.path for scene in SCENES]
    for page in ("", "live/"):
        assert f"/p/{{{kind}[code]}}/{page}" in paths, "tests/e2e/scenes.py"


def test_no_field_that_is_typed_into_is_hidden() -> None:
    """A label stands for a radio or a checkbox, and for nothing else."""
    css = "".join(path.read_text() for path in (WEB / "static").rglob("*.css"))
    hidden = re.findall(r"^([^{}]*\binput\b[^{}]*)\{[^}]*opacity: 0;", css, re.MULTILINE)
    assert hidden
    assert [selector for selector in hidden if "[type=" not in selector] == []


def test_the_create_page_offers_every_kind_once_and_chooses_the_first(client: Client) -> None:
    html = client.get("/new/").content.decode()
    assert re.findall(r'name="kind" value="(\w+)"( checked)?', html) == [
        (name, " checked" if n == 0 else "") for n, name in enumerate(KINDS)
    ]


@pytest.mark.parametrize("page", ["start", "new", "vote", "live", "manage"])
def test_a_page_has_the_messages_of_every_kind_that_it_may_load(page: str) -> None:
    assert {"Choose one.", "Your ranking", "Winner", "%(option)s: %(stars)s of 5"} <= messages_of(
        page
    )
