"""The messages that a page's script may show: those in the modules that it may run.

A voter's phone does not load the messages of the owner's page.
"""

import re
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.utils import translation
from django.views.i18n import JavaScriptCatalog

from web.modules import may_run, source

_MESSAGE = re.compile(r'\bn?gettext\(\s*"((?:[^"\\]|\\.)*)"')

PAGES = frozenset(("start", "new", "vote", "live", "manage", "not_found", "outage"))


@cache
def messages_of(page: str) -> frozenset[str]:
    """The msgids that a page's scripts may show, in English."""
    return frozenset(
        message for name in may_run([f"page_{page}"]) for message in _MESSAGE.findall(source(name))
    )


def catalogue(page: str, language: str) -> str:
    """They in a language, and `gettext` that finds them: a classic script of Django's."""
    with translation.override(language):
        response = _Catalogue(packages=["web"], page=page).get(HttpRequest())
    return response.content.decode()


class _Catalogue(JavaScriptCatalog):
    page = ""

    def get_catalog(self) -> dict[str, Any]:
        messages: dict[str, Any] = super().get_catalog()
        needed = messages_of(self.page)
        return {message: text for message, text in messages.items() if message in needed}
