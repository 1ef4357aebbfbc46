"""A real ballot box on a running event loop, for tests that are not on one."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from django.db import connection

from polls.voting.vote import Cast
from tests.polls.voting.boxes import WatchedBox

Result = TypeVar("Result")

_SECONDS = 30


class RunningBox:
    """Its event loop runs in a thread of its own, from the first batch until `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._watched = WatchedBox()

    def record(self, batch: Sequence[Cast]) -> list[Any]:
        """What became of a batch that is cast in one turn of the loop, through the fast lane where
        the database has one."""
        if not self._thread.is_alive():
            self._thread.start()
            if connection.vendor == "postgresql":
                self._on_loop(self._watched.connect())
        return self._on_loop(self._watched.cast_all(batch))

    def stop(self) -> None:
        if self._thread.is_alive():
            self._on_loop(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_SECONDS)
        self._loop.close()
        self._watched.box.stop()

    async def _close(self) -> None:
        self._watched.box.close_loop_connection()
        await asyncio.sleep(0)  # the turn in which its socket is closed

    def _on_loop(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)
