"""Responses made whole that their clients have not taken yet: bounded in bytes, all together.

Who reads a long list slowly has its bytes kept in memory; many such readers are what this bounds.
A response that fits the connection's own buffer is not counted: connections are.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from livepoll.transport.refusals import note_refusal
from polls.errors import Overloaded
from polls.http.request import Disconnected

MOST_BYTES = 64 * 1024 * 1024
# So long a response is let alone by later ones of its own address.
PATIENCE_SECONDS = 5.0


class _Held:
    def __init__(self, address: str, size: int, since: float) -> None:
        self.address, self.size, self.since = address, size, since
        self.limit = asyncio.timeout(None)
        self.is_cut = False


class UnsentResponses:
    """Those under way. All methods on one event loop.

    Args:
        most: bytes that they may hold.
    """

    def __init__(self, most: int = MOST_BYTES, *, clock: Callable[[], float] = time.monotonic):
        self._most = most
        self._clock = clock
        self._held: dict[_Held, None] = {}  # oldest first
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def held_bytes(self) -> int:
        return self._by_address.total()

    @asynccontextmanager
    async def hold(self, address: str, size: int) -> AsyncIterator[None]:
        """For as long as it takes to send so many bytes.

        Where they are too many, the oldest response of the address that holds the most is cut off.

        Raises:
            Overloaded: that is this address, and has been sending for a moment only.
            Disconnected: it was cut off itself.
        """
        self._make_room_for(address, size)
        held = _Held(address, size, self._clock())
        self._held[held] = None
        self._by_address[address] += size
        try:
            async with held.limit:
                yield
        except TimeoutError:
            if not held.is_cut:
                raise
            raise Disconnected from None
        finally:
            self._let_go(held)

    def _make_room_for(self, address: str, size: int) -> None:
        while self._held and self.held_bytes + size > self._most:
            [(greediest, _)] = self._by_address.most_common(1)
            oldest = next(one for one in self._held if one.address == greediest)
            is_new = self._clock() - oldest.since < PATIENCE_SECONDS
            if is_new and self._by_address[address] + size > self._by_address[greediest]:
                raise Overloaded("Too many long responses are under way; try again.", retry_after=2)
            self._cut(oldest)

    def _cut(self, held: _Held) -> None:
        note_refusal("unsent", held.address)
        held.is_cut = True
        held.limit.reschedule(asyncio.get_running_loop().time())
        self._let_go(held)

    def _let_go(self, held: _Held) -> None:
        if held in self._held:
            del self._held[held]
            self._by_address[held.address] -= held.size
            if not self._by_address[held.address]:
                del self._by_address[held.address]
