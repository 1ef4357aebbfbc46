"""What the collector of reference cycles may cost a process that serves."""

import gc

# Objects made and not freed since the last look at the youngest; the defaults, (700, 10, 10),
# look at them every few requests, and at everything that lives every few thousand.
_THRESHOLDS = (10_000, 20, 50)


def spare_what_lives() -> None:
    """Never look again at what stands now, and seldom at the rest.

    Django, the schema and the modules are some 100,000 objects that no cycle will free. A
    look at all of them stops a process for 80 ms, which whoever votes at that moment waits.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
