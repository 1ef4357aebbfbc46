"""Which ES modules there are, and which may run which: read from what they import.

All that a page may run is one script (`web.joined_modules`), with their messages. A module is named
by its path in static/web/js without its ending, as in "kinds/ranked".
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath

from django.contrib.staticfiles import finders

# The forms that our modules import by. The first runs with the module that has it, the second
# when its moment comes.
IMPORT = re.compile(
    r'^import (?:\{(?P<names>[^{}"]*)\} from )?"(?P<path>\.[\w./]+)\.js";$', re.MULTILINE
)
LATER = re.compile(r'\bimport\("(?P<path>\.[\w./]+)\.js"\)')
_LEFT_OUT = re.compile(r"^[ \t]*(?://.*)?\n", re.MULTILINE)


@cache
def source(name: str) -> str:
    """The text of a module; empty for one that is not there."""
    found = finders.find(f"web/js/{name}.js")
    return Path(found).read_text() if found else ""


def may_run(names: Iterable[str], read: Callable[[str], str] = source) -> list[str]:
    """These modules and all that they import, at once or by `import()`; nearest first."""
    found = list(dict.fromkeys(names))
    for name in found:  # grows
        text = without_comments(read(name))
        for form in (IMPORT, LATER):
            for match in form.finditer(text):
                target = target_of(name, match["path"])
                if target not in found:
                    found.append(target)
    return found


def without_comments(text: str) -> str:
    """Without the lines that are comments or empty; no template literal may have such lines."""
    return _LEFT_OUT.sub("", text)


def target_of(name: str, path: str) -> str:
    """The module that this one means by a path."""
    return normpath(join(dirname(name), path))
