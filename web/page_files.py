"""The two files of a page: its script, with its texts in one language, and its style sheet.

Made once a process from what lies in static/web, where modules stay apart and are tested apart.
Their addresses have the hash of what is in them, so a browser keeps them for ever.
"""

import re
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.urls import reverse

from web.joined_modules import join_modules
from web.messages import catalogue, messages_of
from web.modules import source

# Of each page, as its rules follow each other in static/web/css.
SHEETS = {
    "start": ("base", "start"),
    "new": ("base", "poll", "form"),
    "vote": ("base", "poll"),
    "live": ("base", "poll", "screen"),
    "manage": ("base", "poll", "form"),
    "not_found": ("base", "start"),
    "outage": ("base", "start"),
}
_HASH_BYTES = 6
_COMMENT = re.compile(r"^/\*[^*]*\*/\n", re.MULTILINE)
_URL = re.compile(r'\burl\("\.\./([\w./-]+)"\)')


class PageFile(NamedTuple):
    """What is in it, and its address; `tag` is the hash that the address has."""

    text: str
    tag: str
    url: str


def script(page: str, language: str) -> PageFile:
    """The catalogue and all modules that a page may run, as one ES module."""
    _forget_where_files_change()
    return _script(page, language)


def style(page: str) -> PageFile:
    """All style sheets of a page as one."""
    _forget_where_files_change()
    return _style(page)


@cache
def _script(page: str, language: str) -> PageFile:
    # Django's is a classic script, whose `this` is the global object.
    texts = f"(function () {{\n{catalogue(page, language)}\n}}).call(globalThis);\n"
    text = texts + join_modules(f"page_{page}")
    tag = _hash(text)
    return PageFile(text, tag, reverse("web:script", args=[page, language, tag]))


@cache
def _style(page: str) -> PageFile:
    sheets = [_sheet(name) for name in SHEETS[page]]
    text = _URL.sub(lambda match: f'url("{static("web/" + match[1])}")', "".join(sheets))
    tag = _hash(text)
    return PageFile(text, tag, reverse("web:style", args=[page, tag]))


def _sheet(name: str) -> str:
    found = finders.find(f"web/css/{name}.css")
    assert found, name
    return _COMMENT.sub("", Path(found).read_text())


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()


def _forget_where_files_change() -> None:
    if settings.DEBUG:
        for kept in (source, messages_of, _script, _style):
            kept.cache_clear()
