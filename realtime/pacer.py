"""Leading edge, then a steady beat: the first after a quiet spell goes at once (or a little later),
others at most every `interval`, and the last one always goes."""

import asyncio
from collections.abc import Callable


class Pacer:
    """Calls `go` for each `nudge`, never twice within `interval_seconds`.

    Must be used on one event loop. `go` must take the newest state when it is called;
    `on_rest` is called when an interval passed with nothing new. The first after a quiet spell
    waits `start_after_seconds`, which spreads the beats of several.
    """

    __slots__ = ("_go", "_interval", "_is_due", "_loop", "_on_rest", "_start_after", "_timer")

    def __init__(
        self,
        interval_seconds: float,
        go: Callable[[], None],
        on_rest: Callable[[], object] = lambda: None,
        start_after_seconds: float = 0.0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval = interval_seconds
        self._go = go
        self._on_rest = on_rest
        self._start_after = start_after_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._is_due = False

    @property
    def is_of_another_loop(self) -> bool:
        """Whether it was made on an event loop that is not the one that runs now."""
        return self._loop is not asyncio.get_running_loop()

    def nudge(self) -> None:
        """There is something new to go out."""
        if self._timer is not None:
            self._is_due = True
        elif self._start_after:
            self._timer = self._loop.call_later(self._start_after, self._send)
        else:
            self._send()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _send(self) -> None:
        self._is_due = False
        self._timer = self._loop.call_later(self._interval, self._rested)
        self._go()

    def _rested(self) -> None:
        self._timer = None
        if self._is_due:
            self._send()
        else:
            self._on_rest()
