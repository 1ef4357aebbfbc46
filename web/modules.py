"""Which ES modules there are, and which runs which: read from what they import.

What a page runs is preloaded, so that its modules come in one go and not one after another,
and their messages are in its catalogue. A module is named by its path in static/web/js without its
ending, as in "kinds/ranked".
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath

from django.contrib.staticfiles import finders

# The two forms that web/storage.py gives hashed names to. The first is run with the module that
# has it; the second when its moment comes.
_IMPORT = re.compile(r'^(?:import|\})[^"\n]* ?"(\.[\w./]+)\.js";$', re.MULTILINE)
_LATER = re.compile(r'\bimport\("(\.[\w./]+)\.js"\)')


@cache
def source(name: str) -> str:
    """The text of a module; empty for one that is not there."""
    found = finders.find(address(name))
    return Path(found).read_text() if found else ""


def address(name: str) -> str:
    """The module as a static file, without its hash."""
    return f"web/js/{name}.js"


def runs(names: Iterable[str]) -> list[str]:
    """These modules and all that they import, nearest first."""
    return _closure(names, (_IMPORT,))


def may_run(names: Iterable[str]) -> list[str]:
    """The same with what they may come to load by `import()`."""
    return _closure(names, (_IMPORT, _LATER))


def _closure(names: Iterable[str], forms: tuple[re.Pattern[str], ...]) -> list[str]:
    found = list(dict.fromkeys(names))
    for name in found:  # grows
        for form in forms:
            for path in form.findall(source(name)):
                target = normpath(join(dirname(name), path))
                if target not in found:
                    found.append(target)
    return found
