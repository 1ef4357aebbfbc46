"""Some of a room's watchers, served together: between two rows others get their turn."""

from collections.abc import Callable

from realtime.pacer import Pacer
from realtime.watcher import Watcher

# Written in 0.7 ms: so long at most a vote waits for frames.
SEATS = 100
_BETWEEN_ROWS_SECONDS = 0.002


class Row:
    """At most `SEATS` watchers with a beat of their own.

    Args:
        number: rows with higher ones start a little later after a quiet spell, at most by the
            interval, and so keep out of each other's way.
        interval_seconds: between two results frames of a socket.
        send: sends the room's newest tally to these watchers.
    """

    __slots__ = ("_pacer", "number", "watchers")

    def __init__(
        self, number: int, interval_seconds: float, send: Callable[[set[Watcher]], None]
    ) -> None:
        self.number = number
        self.watchers: set[Watcher] = set()
        later = number * _BETWEEN_ROWS_SECONDS
        self._pacer = Pacer(
            interval_seconds,
            lambda: send(self.watchers),
            start_after_seconds=later % interval_seconds if later else 0.0,
        )

    @property
    def is_full(self) -> bool:
        return len(self.watchers) >= SEATS

    def nudge(self) -> None:
        """There is something new to be sent."""
        self._pacer.nudge()

    def stop(self) -> None:
        self._pacer.stop()
