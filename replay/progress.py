"""How far a replay is: one moving line on a terminal, a plain line every 10 % elsewhere."""

import time
from typing import Protocol

REDRAW_SECONDS = 0.1
BAR_CELLS = 30


class Output(Protocol):
    """What Django's commands write to."""

    def write(self, msg: str, *, ending: str) -> None: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...


class Progress:
    """Call `show` as often as you like; it writes only what is worth reading."""

    def __init__(self, out: Output, total: int) -> None:
        self._out = out
        self._total = total
        self._terminal = out.isatty()
        self._started = time.monotonic()
        self._drawn_at = 0.0
        self._tenths = 0

    def show(self, done: int) -> None:
        if self._terminal:
            self._redraw(done)
        else:
            self._print_tenth(done)

    def _redraw(self, done: int) -> None:
        now = time.monotonic()
        complete = done >= self._total
        if now - self._drawn_at < REDRAW_SECONDS and not complete:
            return
        self._drawn_at = now
        cells = BAR_CELLS * done // self._total
        bar = "█" * cells + "░" * (BAR_CELLS - cells)
        self._write(f"\r{bar} {self._figures(done)}   ", ending="\n" if complete else "")

    def _print_tenth(self, done: int) -> None:
        tenths = 10 * done // self._total
        if tenths > self._tenths:
            self._tenths = tenths
            self._write(self._figures(done), ending="\n")

    def _figures(self, done: int) -> str:
        per_second = done / max(time.monotonic() - self._started, 0.001)
        return f"{100 * done // self._total:3} %  {done:,} of {self._total:,}  {per_second:,.0f}/s"

    def _write(self, text: str, *, ending: str) -> None:
        self._out.write(text, ending=ending)
        self._out.flush()
