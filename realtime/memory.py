"""Bounds what the garbage collector costs a serving process, and gives freed memory back."""

import ctypes
import gc

# The defaults, (700, 10, 10), collect the youngest every few requests, and everything that lives
# every few thousand.
_THRESHOLDS = (10_000, 10, 10)
# So many sockets that have gone, and more than are left, are worth a look for their memory.
_LEAVINGS = 500
# More than so many of them a second are a storm, or clients that come and go.
_NO_STORM = 20
_RELEASE_SECONDS = 60.0


def freeze_startup_objects() -> None:
    """Exempt all objects that exist now from collection, and collect the rest less often.

    Django, the schema and the modules are some 100,000 objects that live as long as the process.
    A full collection of them stops it, and every vote under way, for 80 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def release_memory() -> None:
    """Collect what closed sockets left (54 objects each, in cycles) and return it to the system.

    Stops the process for 20 ms per thousand sockets. Half of their memory goes back; the rest
    is fragmented, and the next sockets use it.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


class Releases:
    """When `release_memory` is due: once many sockets have left, not while they are still leaving,
    and not again soon. Beside clients that come and go it would stop a busy process for 0.2 s every
    ten seconds; what they leave then is the collector's."""

    def __init__(self) -> None:
        self._left = self._left_before = 0
        self._last = float("-inf")

    def note_leaving(self) -> None:
        self._left += 1

    def is_due(self, staying: int, now: float) -> bool:
        """To be asked each second, of so many sockets that are left."""
        is_calm = self._left - self._left_before <= max(_NO_STORM, staying // 20)
        is_worth_it = self._left >= max(_LEAVINGS, staying)
        is_due = is_calm and is_worth_it and now - self._last >= _RELEASE_SECONDS
        if is_due:
            self._left, self._last = 0, now
        self._left_before = self._left
        return is_due
