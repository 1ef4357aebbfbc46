"""Which of the scripts' words a page needs: those in the modules that it can load.

A phone in a hall is not sent the sentences of the owner's page.
"""

import re
from functools import cache

from web.modules import may_run, source

_TEXT = re.compile(r'\bn?gettext\(\s*"((?:[^"\\]|\\.)*)"')

PAGES = frozenset(("start", "new", "vote", "live", "manage", "not_found"))


@cache
def texts_of(page: str) -> frozenset[str]:
    """The texts that a page's scripts may show, in English."""
    return frozenset(
        text for name in may_run([f"page_{page}"]) for text in _TEXT.findall(source(name))
    )
