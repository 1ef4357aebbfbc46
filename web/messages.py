"""Which messages of the scripts' catalogue a page needs: those in the modules that it can load.

A voter's phone does not load the messages of the owner's page.
"""

import re
from functools import cache

from web.modules import may_run, source

_MESSAGE = re.compile(r'\bn?gettext\(\s*"((?:[^"\\]|\\.)*)"')

PAGES = frozenset(("start", "new", "vote", "live", "manage", "not_found", "outage"))


@cache
def messages_of(page: str) -> frozenset[str]:
    """The msgids that a page's scripts may show, in English."""
    return frozenset(
        message for name in may_run([f"page_{page}"]) for message in _MESSAGE.findall(source(name))
    )
