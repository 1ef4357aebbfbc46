"""What an unsafe HTTP request must pass before its endpoint: a known Host and Origin, a bounded
body. Safe methods pass."""

from collections.abc import Awaitable, Callable
from typing import Any

from polls import errors
from polls.http.origins import check_host_and_origin
from polls.http.request import Disconnected, RawRequest
from polls.http.response import respond_problem, response_headers
from polls.rules.limits import LIMITS

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


def guarded(application: Application) -> Application:
    """Wrap an HTTP application.

    An unsafe request from a page of a foreign origin is refused: the browser might add its
    user's cookie. A body over the limit is refused before it is read, or, where no length
    was declared, once it has grown too large.
    """

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["method"] in _SAFE_METHODS:
            await application(scope, receive, send)
            return
        request = RawRequest.of(scope)
        try:
            check_host_and_origin(request)
            request.check_length(LIMITS["poll_body_bytes"])
            if request.declared_length() is None:
                receive = await _bounded(request, receive)
        except Disconnected:
            return
        except errors.PollError as error:
            await respond_problem(send, error, response_headers(request))
            return
        await application(scope, receive, send)

    return wrapped


async def _bounded(request: RawRequest, receive: Any) -> Any:
    """A `receive` for a body of undeclared length that cannot give more than the limit.

    Where a length was declared the server holds the client to it.
    """
    body = await request.body(receive, LIMITS["poll_body_bytes"])
    replayed = False

    async def replay() -> dict[str, Any]:
        nonlocal replayed
        if replayed:
            message: dict[str, Any] = await receive()
            return message
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
