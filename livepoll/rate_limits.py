"""Rate limits by address: counted atomically across processes with Redis, else in each process.

Wraps HTTP endpoints and sockets. A dead Redis neither opens nor closes a limit: it is then
counted in each process by itself, so N processes together let N times as much through.
RATE_LIMITS=off takes the wrapper out.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import RateLimiter, SlidingWindowCounterRateLimiter

from polls import errors
from polls.http.request import RawRequest
from polls.http.response import respond_problem, response_headers
from realtime.close_codes import CloseCode

logger = logging.getLogger(__name__)

_REDIS_TIMEOUT_SECONDS = 0.1
_REDIS_REST_SECONDS = 5.0

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit an address.

    Args:
        failures: error codes that count (of a response without one, its status); without
            any, every request does.
    """

    name: str
    method: str
    path: re.Pattern[str]
    limit: RateLimitItem
    failures: frozenset[str] = frozenset()

    def matches(self, scope: dict[str, Any]) -> bool:
        method = scope.get("method", "GET")  # a socket has none
        return self.method in (method, "*") and bool(self.path.match(scope["path"]))


def rules() -> list[Rule]:
    """The limits in force, from the settings."""
    return [
        Rule("votes", "POST", re.compile(r"/api/v1/polls/[^/]+/votes/?$"),
             parse(settings.RATE_VOTES)),
        Rule("polls", "POST", re.compile(r"/api/v1/polls/?$|/api/v1/polls/[^/]+/clone/?$"),
             parse(settings.RATE_POLLS)),
        # One count for both paths by which passwords can be guessed.
        Rule("accounts", "POST", re.compile(r"/api/v1/accounts/|/admin/"),
             parse(settings.RATE_ACCOUNTS)),
        # Guessing: only wrong codes and keys count, never that a caller has not voted yet.
        Rule("misses", "*", re.compile(r"/api/v1/polls/|/p/|/ws/polls/"),
             parse(settings.RATE_MISSES),
             failures=frozenset(("poll_not_found", "invalid_voter_code", "not_owner", "404"))),
    ]  # fmt: skip


def unlimited(application: Application, *, is_raw: bool = False) -> Application:
    """What stands in the place of `RateLimits` where RATE_LIMITS=off."""
    return application


class Counter:
    """Counts hits of a rule by an address, in Redis while it answers."""

    def __init__(self, redis_url: str) -> None:
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: RateLimiter | None = None
        self._resting_until = 0.0
        if redis_url:
            storage = RedisStorage(
                f"async+{redis_url}",
                implementation="redispy",
                key_prefix="livepoll.limits",
                socket_timeout=_REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=_REDIS_TIMEOUT_SECONDS,
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, rule: Rule, address: str) -> bool:
        """Count one; False when that is one too many."""
        return await self._ask("hit", rule, address)

    async def is_free(self, rule: Rule, address: str) -> bool:
        """Whether one more would be allowed."""
        return await self._ask("test", rule, address)

    async def _ask(self, verb: str, rule: Rule, address: str) -> bool:
        if self._shared is not None and time.monotonic() >= self._resting_until:
            try:
                return bool(await getattr(self._shared, verb)(rule.limit, rule.name, address))
            except Exception as error:  # any failure of Redis: limits go on in process
                logger.warning("rate limits are counted in process for now: %r", error)
                self._resting_until = time.monotonic() + _REDIS_REST_SECONDS
        return bool(await getattr(self._own, verb)(rule.limit, rule.name, address))


class RateLimits:
    """Puts ASGI applications, HTTP or WebSocket, behind the same rules and counts."""

    def __init__(self) -> None:
        self._rules = rules()
        self._counter = Counter(settings.REDIS_URL)

    def __call__(self, application: Application, *, is_raw: bool = False) -> Application:
        async def limited(scope: dict[str, Any], receive: Any, send: Any) -> None:
            matching = [rule for rule in self._rules if rule.matches(scope)]
            request = RawRequest.of(scope)
            for rule in matching:
                check = self._counter.is_free if rule.failures else self._counter.hit
                if not await check(rule, request.address):
                    await _refuse(rule, request, scope, send)
                    return
            watched = [rule for rule in matching if rule.failures]
            if not watched:
                await application(scope, receive, send)
                return
            misses: list[str] = []

            async def note_outcome(message: dict[str, Any]) -> None:
                # Counted before it is sent, so that no client can be quicker than the count.
                await self._count(watched, request, _outcome_of(message))
                await send(message)

            # Sockets and raw endpoints keep their own `send`, which the writes past it need:
            # see realtime.wire and polls.http.response. They report their failures instead.
            is_socket = scope["type"] == "websocket"
            if is_socket:
                note_miss = partial(misses.append, errors.PollNotFound.code)
                scope = {**scope, "livepoll.on_missing_poll": note_miss}
            elif is_raw:
                request.on_failure = partial(self._count, watched)
            await application(scope, receive, send if is_socket or is_raw else note_outcome)
            for miss in misses:
                await self._count(watched, request, miss)

        return limited

    async def _count(self, watched: list[Rule], request: RawRequest, outcome: str) -> None:
        for rule in watched:
            if outcome in rule.failures:
                await self._counter.hit(rule, request.address)


def _outcome_of(message: dict[str, Any]) -> str:
    if message["type"] != "http.response.start":
        return ""
    for name, value in message["headers"]:
        if name.lower() == b"error-code":
            return bytes(value).decode()
    return str(message["status"])


async def _refuse(rule: Rule, request: RawRequest, scope: dict[str, Any], send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": int(CloseCode.TOO_MANY)})
        return
    retry_after = max(1, int(rule.limit.get_expiry() / 2))
    error = errors.RateLimited(f"At most {rule.limit}.", retry_after=retry_after)
    await respond_problem(send, error, response_headers(request))
