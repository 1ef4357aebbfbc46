"""An HTTP request as ASGI gives it, without Django's request handler.

For all that stands before Django: the request guard, rate limits, the raw endpoints, sockets. It
mirrors what Django does with hosts, cookies and bodies.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Any

import orjson
from django.conf import settings
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port, validate_host
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from polls import errors
from polls.http import request_ids
from polls.http.caller import Caller, read_caller
from polls.http.voter_cookie import COOKIE_NAME, voter_cookie
from polls.identity.client_address import client_address

Header = tuple[bytes, bytes]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


SCOPE_KEY = "livepoll.request"
_COOKIE_NAME = COOKIE_NAME.encode()  # which ends every name of the cookie


class Disconnected(Exception):
    """The client went away before its request was whole."""


class RawRequest:
    """A request as ASGI gives it: headers, cookies, a bounded body.

    It hangs on its scope, so it holds neither that nor `receive`: in a cycle all three would
    stay until the collector comes, which took a twentieth of a process that takes votes.
    """

    __slots__ = ("_client", "_scheme", "has_id", "headers", "path")

    def __init__(self, scope: dict[str, Any]) -> None:
        self.path: str = scope["path"]
        self._client = scope.get("client")
        self._scheme = scope.get("scheme")
        self.has_id = request_ids.SCOPE_KEY in scope  # from `with_request_ids`
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(self.headers) < len(scope["headers"]):
            self.headers = _joined(scope["headers"])

    @classmethod
    def of(cls, scope: dict[str, Any]) -> "RawRequest":
        """The request of this scope; made once, and shared by guard, limits and endpoint."""
        request: RawRequest | None = scope.get(SCOPE_KEY)
        if request is None:
            request = scope[SCOPE_KEY] = cls(scope)
        return request

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def poll_ref(self) -> str:
        """The `ref` in /api/v1/polls/{ref}/… and in /p/{ref}/…, or ""."""
        parts = self.path.split("/", 5)
        place = 2 if parts[1:2] == ["p"] else 4
        return parts[place] if len(parts) > place else ""

    @property
    def is_secure(self) -> bool:
        claimed = self.headers.get(b"x-forwarded-proto")
        if claimed is not None and settings.TRUSTED_PROXIES:
            return claimed.partition(b",")[0].strip() == b"https"
        return self._scheme in ("https", "wss")

    @property
    def address(self) -> str:
        """The client's address; X-Forwarded-For counts only as far as proxies are trusted."""
        host = self._client[0] if self._client else ""
        return client_address(host, self.header(b"x-forwarded-for"))

    @property
    def voter_cookie(self) -> str:
        """The voter token in the cookies, or ""."""
        raw = self.headers.get(b"cookie")
        if raw is None or _COOKIE_NAME not in raw:
            return ""
        return voter_cookie(parse_cookie(raw.decode("latin-1")))

    @property
    def has_credentials(self) -> bool:
        """Whether the request carries credentials, valid or not."""
        return b"authorization" in self.headers or b"cookie" in self.headers

    def caller(self) -> Caller:
        """The caller that the headers name.

        Raises:
            InvalidToken
        """
        return read_caller(
            authorization=self.header(b"authorization"),
            voter_cookie=self.voter_cookie,
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
        here = _body_at_hand(receive)
        if here is not None:
            if len(here) > limit:
                raise errors.TooLarge(f"At most {limit} bytes are taken here.")
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
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {
        name: (b"; " if name == b"cookie" else b",").join(several)
        for name, several in values.items()
    }


@lru_cache(maxsize=1000)
def _is_allowed_host(host: bytes) -> bool:
    domain, _ = split_domain_port(host.decode("latin-1"))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def has_whole_body(receive: Any) -> bool:
    """Whether a request's body has come with its head, as far as the server lets it be seen."""
    cycle = getattr(receive, "__self__", None)
    return type(cycle) is RequestResponseCycle and not cycle.more_body


def _body_at_hand(receive: Any) -> bytes | None:
    """A request's body where it has come with the head; None: ask `receive`."""
    cycle = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.message_event.clear()  # what comes next is that the client has gone
    return body
