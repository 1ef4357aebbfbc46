"""Which of the scripts' words a page needs: those in the modules that it can load.

A phone in a hall is not sent the sentences of the owner's page.
"""

import re
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders

_IMPORT = re.compile(r'(?:from|import|import\() ?"\./(\w+)\.js"')
_TEXT = re.compile(r'\bn?gettext\(\s*"((?:[^"\\]|\\.)*)"')

PAGES = frozenset(("start", "new", "vote", "live", "manage", "not_found"))


@cache
def texts_of(page: str) -> frozenset[str]:
    """The texts that a page's scripts may show, in English."""
    texts: set[str] = set()
    loaded: set[str] = set()
    waiting = {f"page_{page}"}
    while waiting:
        name = waiting.pop()
        loaded.add(name)
        source = _source(name)
        texts.update(_TEXT.findall(source))
        waiting.update(set(_IMPORT.findall(source)) - loaded)
    return frozenset(texts)


def _source(module: str) -> str:
    found = finders.find(f"web/js/{module}.js")
    return Path(found).read_text() if found else ""
