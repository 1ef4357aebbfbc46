"""How much of a thing a test does: little in `make test`, all of it in `make check-long`.

LIVEPOLL_LONG=1 asks for the long form. No check stands in one form alone: where there are two
sizes, both stand side by side in the test, and the short one does the same with less.
"""

import os
from typing import TypeVar

LONG = os.environ.get("LIVEPOLL_LONG", "").lower() not in ("", "0", "false")
Size = TypeVar("Size")


def sized(short: Size, long: Size) -> Size:
    """The one that this run is for."""
    return long if LONG else short
