"""When the next ballot may leave: a steady rate that does not make up for lost time."""

import asyncio

# After a stall at most this much of the schedule is caught up on, so that a server which
# comes back is not met by everything it missed.
CATCH_UP_SECONDS = 0.1


class Pace:
    """Hands out departure times `per_second` apart; 0 means at once, always."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        """Return when the caller's turn has come."""
        if not self._interval:
            return
        now = asyncio.get_running_loop().time()
        turn = max(self._next, now - CATCH_UP_SECONDS)
        self._next = turn + self._interval
        if turn > now:
            await asyncio.sleep(turn - now)
