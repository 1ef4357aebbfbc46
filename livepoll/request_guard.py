"""What a request must pass before its endpoint: bounded line, headers and body, for an unsafe one
a known Host and Origin.

Behind `livepoll.transport` line, headers and times are bounded already, by bytes. Here the same
holds for other servers as far as ASGI lets it: what they have read is refused before it is joined.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

from polls import errors
from polls.http.origins import check_host_and_origin
from polls.http.request import Disconnected, RawRequest, has_whole_body
from polls.http.response import respond_problem, response_headers
from polls.rules.limits import LIMITS

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

# Set in the scope by a server that has bounded line, headers and times.
BOUNDED = "livepoll.bounded"
# Set in the scope of a request that was over a limit: its server may take its time with the next.
OVER_LIMIT = "livepoll.over_limit"

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_ONE_MESSAGE = {"type": "http.request", "more_body": False}
_NO_HEADERS: dict[str, Any] = {"headers": [], "path": "", "client": None}


def guarded(application: Application, most: int = LIMITS["poll_body_bytes"]) -> Application:
    """Wrap an HTTP application; `most` bytes of body are taken.

    An unsafe request from a page of a foreign origin is refused: the browser might add its
    user's cookie. A body over the limit, of any method, is refused before it is read, or, where
    no length was declared, once it has grown too large.
    """

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        is_bounded = BOUNDED in scope
        if not is_bounded:
            error = excess_of(scope)
            if error is not None:
                await respond_problem(send, error, response_headers(RawRequest(_NO_HEADERS)))
                return
        request = RawRequest.of(scope)
        if scope["method"] in _SAFE_METHODS and not _announces_body(request):
            await application(scope, receive, send)
            return
        try:
            if scope["method"] not in _SAFE_METHODS:
                check_host_and_origin(request)
            request.check_length(most)
            if not is_bounded and not has_whole_body(receive):
                receive = _in_time(receive)
            if request.declared_length() is None:
                receive = await _bounded(request, receive, most)
        except Disconnected:
            return
        except errors.PollError as error:
            await respond_problem(send, error, response_headers(request))
            return
        try:
            await application(scope, receive, send)
        except errors.RequestTimeout as error:  # past an application that reads the body itself
            await respond_problem(send, error, response_headers(request))

    return wrapped


def guarded_socket(application: Application) -> Application:
    """Wrap a WebSocket application: a handshake beyond the bounds is refused with 403."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if excess_of(scope) is not None:
            await send({"type": "websocket.close"})
            return
        await application(scope, receive, send)

    return wrapped


def excess_of(scope: dict[str, Any]) -> errors.PollError | None:
    """What of a request's head is beyond the bounds. Nothing of it is joined or decoded."""
    line = len(scope.get("raw_path") or scope["path"]) + len(scope.get("query_string", b""))
    if line > LIMITS["request_line_bytes"]:
        return errors.URITooLong()
    headers = scope["headers"]
    if len(headers) > LIMITS["request_headers"]:
        return errors.HeadersTooLarge()
    size = sum(len(name) + len(value) for name, value in headers)
    return errors.HeadersTooLarge() if size > LIMITS["request_header_bytes"] else None


def _announces_body(request: RawRequest) -> bool:
    return b"content-length" in request.headers or b"transfer-encoding" in request.headers


def _in_time(receive: Any) -> Any:
    """A `receive` that raises RequestTimeout when the body is not whole in time."""
    deadline: float | None = asyncio.get_running_loop().time() + settings.REQUEST_SECONDS

    async def receive_in_time() -> dict[str, Any]:
        nonlocal deadline
        try:
            async with asyncio.timeout_at(deadline):
                message: dict[str, Any] = await receive()
        except TimeoutError:
            raise errors.RequestTimeout from None
        if not message.get("more_body"):
            deadline = None
        return message

    return receive_in_time


async def _bounded(request: RawRequest, receive: Any, most: int) -> Any:
    """A `receive` for a body of undeclared length that cannot give more than the limit.

    Where a length was declared the server holds the client to it.
    """
    body = await request.body(receive, most)
    replayed = False

    async def replay() -> dict[str, Any]:
        nonlocal replayed
        if replayed:
            message: dict[str, Any] = await receive()
            return message
        replayed = True
        return {**_ONE_MESSAGE, "body": body}

    return replay
