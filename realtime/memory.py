"""What the collector of reference cycles may cost a process that serves, and when it is due."""

import ctypes
import gc

# Objects made and not freed since the last look at the youngest; the defaults, (700, 10, 10),
# look at them every few requests, and at everything that lives every few thousand.
_THRESHOLDS = (10_000, 10, 10)


def freeze_startup_objects() -> None:
    """Never look again at what stands now, and seldom at the rest.

    Django, the schema and the modules are some 100,000 objects that no cycle will free. A
    look at all of them stops a process for 80 ms, which whoever votes at that moment waits.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def release_memory() -> None:
    """Free what thousands of sockets left, 54 objects each in cycles, and tell the system.

    Stops the process for 20 ms per thousand of them. Half of their memory goes back; in the
    rest something else lives by now, and the next thousands move in there.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
