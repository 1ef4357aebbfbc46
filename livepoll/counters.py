"""Counts in sliding windows: in Redis, by all processes together, else in each process by itself.

A Redis that is dead or hangs costs a request a quarter of a second once, then is left alone for
five: limits go on in process, so N processes let N times as much through. They neither open, which
would invite killing Redis, nor close, which would let a dead cache stop an election.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livepoll.gathered_script import GatheredScript

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# A busy event loop is late itself: at a tenth of a second a full core counted in process for it.
_REDIS_TIMEOUT_SECONDS = 0.25
_REDIS_REST_SECONDS = 5.0
# Shorter than the shortest Retry-After: a client that keeps to that does not notice.
_REFUSED_SECONDS = 0.1
_MOST_REFUSED = 10_000
# Of each limit, some 250 bytes each. Beyond, what was not counted for longest is forgotten, which
# takes so many hits under the same limit. Those on passwords cost a hash each: a process that does
# nothing else makes so many in two hours, when their windows are over.
_MOST_WINDOWS = 50_000


class Limit(NamedTuple):
    """So much in a window, under a name that is also its name in logs, metrics and Redis."""

    name: str
    item: RateLimitItem

    @property
    def amount(self) -> int:
        return self.item.amount


class Window(NamedTuple):
    """How much a limit still allows, and in how many seconds its window ends."""

    remaining: int
    reset_seconds: int


class Windows(Protocol):
    """Where counts are kept. The first of the names is the limit's."""

    async def hit(self, item: RateLimitItem, *names: str) -> bool: ...

    async def window(self, item: RateLimitItem, *names: str) -> Window: ...


class SharedWindows(SlidingWindowCounterRateLimiter):
    """In Redis; each count is one script there, so it is atomic."""

    storage: RedisStorage

    async def window(self, item: RateLimitItem, *names: str) -> Window:
        stored = await self.storage.get_sliding_window(item.key_for(*names), item.get_expiry())
        weighted = self._weighted_count(item, *stored[:3])
        # A window is kept for two of its lengths; where there is none, one would begin now.
        left = stored[3] - item.get_expiry() if stored[3] else item.get_expiry()
        return Window(max(0, item.amount - math.floor(weighted)), max(1, math.ceil(left)))


class _Count:
    __slots__ = ("current", "number", "previous")

    def __init__(self, number: int) -> None:
        self.number, self.previous, self.current = number, 0, 0


class OwnWindows:
    """In this process, of a bounded number a limit: what is counted under one flushes no other.
    One event loop; no call waits.

    `limits.MemoryStorage` has no bound, and walks all it keeps at each hit.

    Args:
        most: windows of a limit.
    """

    def __init__(
        self, *, most: int = _MOST_WINDOWS, clock: Callable[[], float] = time.time
    ) -> None:
        self._counts: defaultdict[str, OrderedDict[str, _Count]] = defaultdict(OrderedDict)
        self._most = most
        self._clock = clock

    def __len__(self) -> int:
        return sum(map(len, self._counts.values()))

    async def hit(self, item: RateLimitItem, *names: str) -> bool:
        counts, key = self._counts[names[0]], item.key_for(*names)
        count, weighted, _ = self._now(counts, key, item.get_expiry())
        if math.floor(weighted) + 1 > item.amount:
            return False
        count.current += 1
        if key not in counts:
            if len(counts) >= self._most:
                counts.popitem(last=False)
            counts[key] = count
        return True

    async def window(self, item: RateLimitItem, *names: str) -> Window:
        counts, key = self._counts[names[0]], item.key_for(*names)
        _, weighted, left = self._now(counts, key, item.get_expiry())
        return Window(max(0, item.amount - math.floor(weighted)), max(1, math.ceil(left)))

    def _now(
        self, counts: "OrderedDict[str, _Count]", key: str, length: int
    ) -> tuple[_Count, float, float]:
        """The count, its weight in the sliding window of so many seconds, and the seconds until its
        window ends. One that is new is not kept: to ask costs no room."""
        number, passed = divmod(self._clock(), length)
        count = counts.get(key)
        if count is None:
            count = _Count(int(number))
        else:
            counts.move_to_end(key)
            if count.number != number:
                count.previous = count.current if count.number == number - 1 else 0
                count.number, count.current = int(number), 0
        left = length - passed
        return count, count.previous * left / length + count.current, left


class Counters:
    """Counts hits under a limit by a key, in Redis while it answers.

    Args:
        own: where they are counted otherwise.
    """

    def __init__(self, redis_url: str, own: OwnWindows | None = None) -> None:
        self._own = own if own is not None else OwnWindows()
        self._shared: SharedWindows | None = None
        self._is_down = False
        self._resting_until = 0.0
        if redis_url:
            storage = RedisStorage(
                f"async+{redis_url}",
                implementation="redispy",
                key_prefix="livepoll.limits",
                socket_timeout=_REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=_REDIS_TIMEOUT_SECONDS,
                # Its own default tries ten times more, with pauses.
                retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type] # handed on to redis-py
            )
            bridge: Any = storage.bridge  # what it has of redis-py stands in no stub
            self._client = bridge.storage
            for name in ("lua_acquire_sliding_window", "lua_sliding_window"):
                setattr(bridge, name, GatheredScript(getattr(bridge, name), self._client))
            self._shared = SharedWindows(storage)
        self._refused: dict[tuple[str, str], float] = {}  # until when, by time.monotonic

    async def hit(self, limit: Limit, key: str) -> bool:
        """Count one; False when that is one too many, which is not counted.

        Who was refused is refused without asking for a moment: a flood costs a look into a dict.
        """
        name, now = (limit.name, key), time.monotonic()
        if self._refused and self._refused.get(name, now) > now:
            return False
        is_allowed = await self._ask(lambda windows: windows.hit(limit.item, *name))
        if not is_allowed and self._shared is not None:
            if len(self._refused) >= _MOST_REFUSED:
                self._refused.clear()
            self._refused[name] = now + _REFUSED_SECONDS
        return is_allowed

    async def window(self, limit: Limit, key: str) -> Window:
        """What is left; counts nothing."""
        return await self._ask(lambda windows: windows.window(limit.item, limit.name, key))

    async def _ask(self, question: Callable[[Windows], Awaitable[Answer]]) -> Answer:
        if (shared := self._shared_if_up()) is not None:
            try:
                async with asyncio.timeout(_REDIS_TIMEOUT_SECONDS):
                    counted = await question(shared)
            except Exception as error:  # any failure of Redis: limits go on in process
                self._rest(error)
            else:
                self._is_down = False
                return counted
        return await question(self._own)

    async def close(self) -> None:
        """Close the connections to Redis. They are of the event loop that counted."""
        if self._shared is not None:
            await self._client.aclose()

    def _shared_if_up(self) -> SharedWindows | None:
        """Redis, unless it rests; after a rest one request tries it, for all."""
        if self._shared is None or not self._is_down:
            return self._shared
        now = time.monotonic()
        if now < self._resting_until:
            return None
        self._resting_until = now + _REDIS_REST_SECONDS
        return self._shared

    def _rest(self, error: Exception) -> None:
        if not self._is_down:
            logger.warning("rate limits are counted in process for now: %r", error)
        self._is_down = True
        self._resting_until = time.monotonic() + _REDIS_REST_SECONDS
