"""An answer that many requests share: those that come while it is made wait for the same one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class SharedAnswer(Generic[Answer]):
    """What `ask` returns, asked once at a time on an event loop.

    Args:
        max_age_seconds: how long an answer is given again, counted from when it was asked for.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[Answer]], *, max_age_seconds: float = 0.0
    ) -> None:
        self._ask = ask
        self.max_age_seconds = max_age_seconds
        self._asking: asyncio.Task[Answer] | None = None
        self._asked_at = 0.0

    async def get(self) -> Answer:
        """The answer. A client that leaves takes it from no other.

        Raises:
            Exception: what `ask` raised; then it is asked again.
        """
        asking = self._asking
        if asking is None or not self._is_good(asking):
            self._asked_at = time.monotonic()
            asking = self._asking = asyncio.get_running_loop().create_task(self._made())
        return await asyncio.shield(asking)

    def forget(self) -> None:
        """The next call asks."""
        self._asking = None

    def _is_good(self, asking: "asyncio.Task[Answer]") -> bool:
        if not asking.done():
            return asking.get_loop() is asyncio.get_running_loop()
        if asking.cancelled() or asking.exception() is not None:
            return False
        return time.monotonic() - self._asked_at < self.max_age_seconds

    async def _made(self) -> Answer:
        return await self._ask()


class SharedAnswers(Generic[Answer]):
    """Answers by key, each shared by all who ask for it while it is made. Kept by none."""

    def __init__(self) -> None:
        self._making: dict[Hashable, asyncio.Task[Answer]] = {}

    async def get(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """What `make` of the first who asks returns. A client that leaves takes it from no other.

        Raises:
            Exception: what `make` raised.
        """
        loop = asyncio.get_running_loop()
        making = self._making.get((loop, key))
        if making is None:
            making = self._making[loop, key] = loop.create_task(make())
            making.add_done_callback(lambda _: self._making.pop((loop, key)))
        return await asyncio.shield(making)
