"""The lean door: an HTTP request without Django's request handler.

Only for the two hot paths, casting a vote and reading results. Everything here mirrors
what the ordinary door does: allowed hosts, origins, problem+json.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Any

import orjson
from django.conf import settings
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port, validate_host

from polls import errors, request_ids
from polls.api.callers import Caller, read_caller
from polls.api.http_wire import Header, body_at_hand, encode_headers, write_answer
from polls.api.problems import AUTHENTICATE, PROBLEM_CONTENT_TYPE, problem_of
from polls.forwarding import client_address
from polls.voters import COOKIE_NAME

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


_SCOPE_KEY = "livepoll.request"


class Disconnected(Exception):
    """The client went away before its request was whole."""


class LeanRequest:
    """A request as ASGI gives it: headers, cookies, a bounded body.

    It hangs on its scope, so it holds neither that nor `receive`: in a cycle all three would
    stay until the collector comes, which took a twentieth of a process that takes votes.
    """

    __slots__ = ("_client", "_scheme", "has_id", "headers", "on_failure", "path")

    def __init__(self, scope: dict[str, Any]) -> None:
        self.path: str = scope["path"]
        self._client = scope.get("client")
        self._scheme = scope.get("scheme")
        self.has_id = request_ids.SCOPE_KEY in scope  # from a door before
        # Who limits guesses is told of a failure, by its code, before the client is.
        self.on_failure: Callable[[LeanRequest, str], Awaitable[None]] | None = None
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(self.headers) < len(scope["headers"]):
            self.headers = _joined(scope["headers"])

    @classmethod
    def of(cls, scope: dict[str, Any]) -> "LeanRequest":
        """The request of this scope, read once for all who look at it on its way."""
        request: LeanRequest | None = scope.get(_SCOPE_KEY)
        if request is None:
            request = scope[_SCOPE_KEY] = cls(scope)
        return request

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def poll_ref(self) -> str:
        """What stands for the poll in /api/v1/polls/{ref}/…"""
        return self.path.split("/", 5)[4]

    @property
    def is_secure(self) -> bool:
        if settings.TRUSTED_PROXIES and b"x-forwarded-proto" in self.headers:
            return self.headers[b"x-forwarded-proto"] == b"https"
        return self._scheme in ("https", "wss")

    @property
    def address(self) -> str:
        """The client's address: the proxies' word only as far as proxies are trusted."""
        host = self._client[0] if self._client else ""
        return client_address(host, self.header(b"x-forwarded-for"))

    def cookie(self, name: str) -> str:
        raw = self.headers.get(b"cookie")
        if raw is None or name.encode() not in raw:
            return ""
        return parse_cookie(raw.decode("latin-1")).get(name, "")

    @property
    def has_credentials(self) -> bool:
        """Whether the sender says who they are, truly or not."""
        return b"authorization" in self.headers or b"cookie" in self.headers

    def caller(self) -> Caller:
        """Who asks.

        Raises:
            InvalidToken
        """
        return read_caller(
            authorization=self.header(b"authorization"),
            voter_cookie=self.cookie(COOKIE_NAME),
            address=self.address,
        )

    def declared_length(self) -> int | None:
        """The body's length in bytes, where the request says it."""
        declared = self.headers.get(b"content-length", b"")
        return int(declared) if declared.isdigit() else None

    def check_length(self, limit: int) -> None:
        """Refuse a body that claims to be too long, before it is read.

        Raises:
            TooLarge
        """
        if (self.declared_length() or 0) > limit:
            raise errors.TooLarge(f"At most {limit} bytes are taken here.")

    async def body(self, receive: Receive, limit: int) -> bytes:
        """The whole body, to be read once.

        Raises:
            TooLarge: it has, or claims to have, more than `limit` bytes.
            Disconnected: the client went away.
        """
        self.check_length(limit)
        here = body_at_hand(receive)
        if here is not None and len(here) <= limit:
            return here
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Disconnected
            body += message.get("body", b"")
            if len(body) > limit:
                raise errors.TooLarge(f"At most {limit} bytes are taken here.")
            if not message.get("more_body"):
                return bytes(body)

    async def json_object(self, receive: Receive, limit: int) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            UnsupportedMediaType, TooLarge, Malformed
        """
        media_type = self.headers.get(b"content-type", b"")
        if media_type != b"application/json":
            media_type = media_type.partition(b";")[0].strip().lower()
            if media_type != b"application/json":
                raise errors.UnsupportedMediaType
        try:
            body = orjson.loads(await self.body(receive, limit))
        except orjson.JSONDecodeError as error:
            raise errors.Malformed(f"The body is not JSON: {error}.") from None
        if not isinstance(body, dict):
            raise errors.Malformed("The body must be a JSON object.")
        return body

    def check_host(self) -> None:
        if not _is_allowed_host(self.headers.get(b"host", b"")):
            raise errors.Malformed("This server does not answer to that Host.")


def _joined(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Headers that came several times as one, RFC 9110 5.3 and RFC 6265 5.4."""
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        glue = b"; " if name == b"cookie" else b","
        joined[name] = joined[name] + glue + value if name in joined else value
    return joined


@lru_cache(maxsize=1000)
def _is_allowed_host(host: bytes) -> bool:
    domain, _ = split_domain_port(host.decode("latin-1"))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


_CORS_HEADERS: tuple[Header, ...] = (
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", b"ETag, Retry-After, X-Request-ID"),
    (b"vary", b"origin"),
)


def cors_headers(request: LeanRequest) -> list[Header]:
    """What a page of an allowed other origin needs to read the answer."""
    origin = request.headers.get(b"origin")
    if origin and origin.decode("latin-1") in settings.ALLOWED_ORIGINS:
        return [(b"access-control-allow-origin", origin), *_CORS_HEADERS]
    return []


def answer_headers(request: LeanRequest) -> list[Header]:
    """What goes with every answer of a lean door, which may stand behind no other door."""
    headers = cors_headers(request)
    if not request.has_id:
        headers.append((b"x-request-id", request_ids.new_request_id().encode()))
    return headers


_FORGET_COOKIE = f"{COOKIE_NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax".encode()


@lru_cache(maxsize=100)
def _standing_headers(content_type: bytes, cache_control: bytes) -> tuple[list[Header], bytes]:
    headers = [
        (b"content-type", content_type),
        (b"cache-control", cache_control),
        (b"x-content-type-options", b"nosniff"),
    ]
    return headers, encode_headers(headers)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: list[Header],
    content_type: bytes = b"application/json",
    cache_control: bytes = b"no-store",
    *,
    at_once: bool = False,
) -> None:
    """
    Args:
        at_once: not together with the other answers of this turn of the loop; for answers that
            were all made before the first of them is written.
    """
    standing, encoded = _standing_headers(content_type, cache_control)
    if status != 304:  # there it would have to be the length of what the client has
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    if await write_answer(send, status, encoded, headers, body, at_once=at_once):
        return
    start = {"type": "http.response.start", "status": status, "headers": [*standing, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def refuse(
    request: LeanRequest, send: Send, error: errors.PollError, headers: list[Header]
) -> None:
    """A lean door's answer when it cannot do what was asked."""
    if request.on_failure is not None:
        await request.on_failure(request, error.code)
    await respond_problem(send, error, headers)


async def respond_problem(
    send: Send, error: errors.PollError, headers: list[Header], **extra: Any
) -> None:
    if isinstance(error, errors.InvalidCookie):
        headers = [*headers, (b"set-cookie", _FORGET_COOKIE)]
    headers = [*headers, (b"error-code", error.code.encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", AUTHENTICATE.encode()))
    if error.retry_after is not None:
        headers = [*headers, (b"retry-after", str(error.retry_after).encode())]
    body = orjson.dumps(problem_of(error) | extra)
    await respond(send, error.status, body, headers, PROBLEM_CONTENT_TYPE.encode())
