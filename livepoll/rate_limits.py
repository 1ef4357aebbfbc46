"""Rate limits by address: every request is under one, unless a line here exempts it by name.

Each ASGI application is wrapped by what it is: Django, a raw endpoint, the sockets. A request that
names a poll by join code, or brings a voter code in its headers, is an attempt and is asked for
its misses (`livepoll.attempts`) before anything is looked up. RATE_LIMITS=off refuses nothing;
bounds on bytes, time and connections are elsewhere and hold all the same.
"""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

from django.conf import settings
from limits import parse

from livepoll.attempts import CountedAttempts, MissLimits, limited_by
from livepoll.counters import Counters, Limit, Window
from livepoll.request_guard import OVER_LIMIT
from livepoll.routes import Route, route_of
from polls.errors import RateLimited, rate_headers
from polls.http.attempts import current_attempts
from polls.http.request import RawRequest
from polls.http.response import respond_problem, response_headers
from polls.rules.credentials import Credential, credential_of_ref
from polls.security_events import Event, report
from realtime.close_codes import CloseCode

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
Message = dict[str, Any]

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))

# Which limit an unsafe request is under; `requests` where no line says another.
LIMIT_NAMES: dict[tuple[str, str], str] = {
    ("POST", "votes"): "votes",
    ("DELETE", "my-vote"): "votes",
    ("POST", "web:vote"): "votes",
    ("POST", "voters"): "tokens",
    ("POST", "account-refresh"): "tokens",
    ("POST", "polls"): "polls",
    ("POST", "poll-clone"): "polls",
    ("POST", "accounts"): "accounts",
    ("POST", "account-token"): "accounts",
    ("POST", "admin:login"): "accounts",
    ("POST", "admin:password_change"): "accounts",
}
_DEFAULT = "requests"
_HASHED = "accounts"  # each request costs a hash
_REFUSED = RateLimited.status

_MANY_PHONES = "a hall behind one address asks it at once; its misses are counted"
_SAME_FOR_ALL = "no credential, no database; the same bytes for all"
# Views whose safe methods are under no rate, and why. All others are under `requests`.
EXEMPT: dict[str, str] = {
    "polls": _MANY_PHONES,
    "poll": _MANY_PHONES,
    "my-vote": _MANY_PHONES,
    "results": _MANY_PHONES,
    "timeline": _MANY_PHONES,
    "corrections": _MANY_PHONES,
    "account-me": _MANY_PHONES,
    "web:start": _MANY_PHONES,
    "web:new": _MANY_PHONES,
    "web:vote": _MANY_PHONES,
    "web:live": _MANY_PHONES,
    "web:manage": _MANY_PHONES,
    "web:qr": _MANY_PHONES,
    "web:script": _SAME_FOR_ALL,
    "web:style": _SAME_FOR_ALL,
    "limits": _SAME_FOR_ALL,
    "schema": _SAME_FOR_ALL,
    "docs": _SAME_FOR_ALL,
    "errors": _SAME_FOR_ALL,
    "live-protocol": _SAME_FOR_ALL,
    "asyncapi": _SAME_FOR_ALL,
    "livepoll.problem_views.api_not_found": "nothing is there: 404 without a look at anything",
}


def rates() -> dict[str, Limit]:
    """The rates in force by name, from the settings."""
    settings_of = {
        "votes": settings.RATE_VOTES,
        "tokens": settings.RATE_VOTES,  # cheap to make, and a hall asks for one each
        "polls": settings.RATE_POLLS,
        "accounts": settings.RATE_ACCOUNTS,
        "requests": settings.RATE_REQUESTS,
    }
    return {name: Limit(name, parse(rate)) for name, rate in settings_of.items()}


def limit_name(method: str, route: Route | None) -> str | None:
    """The rate that a request is under, by name; None: it is exempt. A path that leads nowhere is
    under one only where it could change something."""
    if method in SAFE_METHODS:
        return None if route is None or route.name in EXEMPT else _DEFAULT
    return _DEFAULT if route is None else LIMIT_NAMES.get((method, route.name), _DEFAULT)


class RateLimits:
    """Puts ASGI applications behind the same limits and counts."""

    def __init__(self, counters: Counters | None = None) -> None:
        self._is_on = settings.RATE_LIMITS
        self._rates = rates()
        self._counters = counters or Counters(settings.REDIS_URL if self._is_on else "")
        self._misses = MissLimits(self._counters)

    def django(self, application: Application) -> Application:
        """Django's and the probes' requests."""

        async def limited(scope: dict[str, Any], receive: Any, send: Any) -> None:
            request = RawRequest.of(scope)
            attempts = self._begin(request)
            if not self._is_on:
                await application(scope, receive, send)
                return
            route = route_of(scope["path"])
            name = limit_name(scope["method"], route)
            ref = route.ref if route else None
            headers: dict[str, str] = {}
            try:
                if name is not None:
                    window = await self._spend(self._rates[name], request.address)
                    headers = rate_headers(self._rates[name].amount, *window)
                await _check_presented(request, attempts, ref)
            except RateLimited as error:
                scope[OVER_LIMIT] = True
                await respond_problem(send, error, response_headers(request))
                return

            async def send_with_headers(message: Message) -> None:
                is_start = message["type"] == "http.response.start"
                if is_start and message["status"] != _REFUSED:  # that names its own limit
                    message["headers"] = [*message["headers"], *_encoded(headers)]
                await send(message)

            trying = self._misses.guessers.trying(request.address)
            try:
                with trying if name == _HASHED else nullcontext():
                    await application(scope, receive, send_with_headers if headers else send)
            finally:
                attempts.end()

        return limited

    def raw(
        self, application: Application, name: str | None, *, of_poll: bool = True
    ) -> Application:
        """A raw endpoint: its own `send` is kept, which writes past the server's need.

        Args:
            name: the rate it is under; None: exempt.
            of_poll: whether its path names a poll.
        """
        rate = self._rates[name] if name else None

        def unlimited(scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
            self._begin(RawRequest.of(scope))
            return application(scope, receive, send)

        async def limited(scope: dict[str, Any], receive: Any, send: Any) -> None:
            request = RawRequest.of(scope)
            attempts = self._begin(request)
            try:
                if rate is not None and not await self._counters.hit(rate, request.address):
                    raise await self._over(rate, request.address)
                ref = request.poll_ref if of_poll else ""
                await _check_presented(request, attempts, ref or None)
            except RateLimited as error:
                scope[OVER_LIMIT] = True
                await respond_problem(send, error, response_headers(request))
                return
            try:
                await application(scope, receive, send)
            finally:
                attempts.end()

        return limited if self._is_on else unlimited

    def sockets(self, application: Application) -> Application:
        """The sockets. How many there may be, and how many frames, the hub and the consumer say."""

        async def limited(scope: dict[str, Any], receive: Any, send: Any) -> None:
            request = RawRequest.of(scope)
            attempts = self._begin(request)
            try:
                if self._is_on:
                    ref = scope["path"].rstrip("/").rpartition("/")[2]
                    await _check_presented(request, attempts, ref)
            except RateLimited:
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.close", "code": int(CloseCode.TOO_MANY)})
                return
            try:
                await application(scope, receive, send)
            finally:
                attempts.end()

        return limited

    def _begin(self, request: RawRequest) -> CountedAttempts:
        attempts = CountedAttempts(self._misses, request)
        current_attempts.set(attempts)
        return attempts

    async def _spend(self, rate: Limit, address: str) -> Window:
        if not await self._counters.hit(rate, address):
            raise await self._over(rate, address)
        return await self._counters.window(rate, address)

    async def _over(self, rate: Limit, address: str) -> RateLimited:
        report(Event.LIMIT_MET, rate.name, address=address)
        return limited_by(rate, await self._counters.window(rate, address))


async def _check_presented(request: RawRequest, attempts: CountedAttempts, ref: str | None) -> None:
    """Ask for room for what can be guessed and stands in the path or the headers.

    Raises:
        RateLimited: nothing is held then.
    """
    try:
        await _check_each(request, attempts, ref)
    except RateLimited:
        attempts.end()
        raise


async def _check_each(request: RawRequest, attempts: CountedAttempts, ref: str | None) -> None:
    if ref is not None and credential_of_ref(ref) is Credential.JOIN_CODE:
        await attempts.check(Credential.JOIN_CODE, poll=ref)
    if b"voter-code" in request.headers:
        await attempts.check(Credential.VOTER_CODE, poll=ref or "")


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
