"""One line at the start of an outage and one every ten seconds, however many calls fail."""

import logging
import time

_QUIET_SECONDS = 10.0


class OutageLog:
    """Warnings of the same trouble, thinned out. One event loop or thread at a time."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._quiet_until = 0.0
        self._unsaid = 0

    def warn(self, message: str, error: object) -> None:
        now = time.monotonic()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more like it)" if self._unsaid else ""
        self._logger.warning("%s: %r%s", message, error, more)
        self._quiet_until = now + _QUIET_SECONDS
        self._unsaid = 0
