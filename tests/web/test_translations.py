"""Every string of the pages is there in every language, and says the same blanks."""

import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings

import web
from web.messages import PAGES, messages_of

WEB = Path(web.__file__).parent
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != "en"]
IN_TEMPLATES = re.compile(r'{% translate "([^"]+)" %}')
IN_SCRIPTS = re.compile(r'\bn?gettext\("([^"]+)"')
IN_SCRIPTS_PLURAL = re.compile(r'\bngettext\("([^"]+)", "([^"]+)"')
BLANK = re.compile(r"%\((\w+)\)s")


def texts(folder: str, pattern: str, expression: re.Pattern[str]) -> set[str]:
    files = (WEB / folder).rglob(pattern)
    return {text for path in files for text in expression.findall(path.read_text())}


def catalogue(language: str, domain: str) -> gettext.GNUTranslations:
    path = WEB / "locale" / language / "LC_MESSAGES" / f"{domain}.mo"
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        ("django", texts("templates", "*.html", IN_TEMPLATES)),
        ("djangojs", texts("static", "*.js", IN_SCRIPTS)),
    ],
)
def test_every_string_is_translated(language: str, domain: str, wanted: set[str]) -> None:
    assert len(wanted) > 50
    known = catalogue(language, domain)._catalog  # type: ignore[attr-defined]
    plurals = {key[0] for key in known if isinstance(key, tuple)}
    assert wanted - set(known) - plurals == set()


def test_every_string_of_the_scripts_reaches_a_page() -> None:
    reached = set().union(*(messages_of(page) for page in PAGES))
    assert texts("static", "*.js", IN_SCRIPTS) - reached == set()
    assert "Delete this poll?" in messages_of("manage") - messages_of("vote")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_translations_keep_the_blanks_and_are_compiled(language: str, domain: str) -> None:
    source = (WEB / "locale" / language / "LC_MESSAGES" / f"{domain}.po").read_text()
    known = catalogue(language, domain)._catalog  # type: ignore[attr-defined]
    assert "fuzzy" not in source
    for key, text in known.items():
        if key == "":
            continue
        original = key[0] if isinstance(key, tuple) else key
        assert text.strip()
        assert text.replace("\\", "\\\\").replace('"', '\\"') in source.replace('"\n"', "")
        # "one star" may do without its number, other forms may not invent a blank
        assert set(BLANK.findall(text)) <= set(BLANK.findall(original)), original
        if not isinstance(key, tuple):
            assert set(BLANK.findall(text)) == set(BLANK.findall(original)), original
