"""Responses of the raw ASGI endpoints: headers, CORS, problem+json, and one write to Uvicorn.

Each message of ASGI's `send` is a system call there, and wakes the client. So head and body are
written as one piece, and responses that are ready in one turn of the event loop leave one right
after the other; those to a batch of votes are all made before, and leave `at_once`. A connection
that is not plainly ready gets the server's own `send` (docs/decisions/answers-in-one-piece.md).
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from polls import errors
from polls.http import request_ids
from polls.http.attempts import current_attempts
from polls.http.problems import AUTHENTICATE, PROBLEM_CONTENT_TYPE, problem_of
from polls.http.request import Header, RawRequest, Send
from polls.http.voter_cookie import FORGET_COOKIES

_waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
# The server makes new ones each second, for their Date.
_server_headers: tuple[list[Header], bytes] = ([], b"")

_CORS_HEADERS: tuple[Header, ...] = (
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", ", ".join(settings.CORS_EXPOSE_HEADERS).encode()),
    (b"vary", b"origin"),
)


# The Cache-Control of what depends on the caller; a cache that keeps such a response all the same
# has to keep it apart.
PERSONAL = b"no-store"
# Kept by the client alone, and asked for anew each time: the ETag makes that cheap.
ASKED_FOR_ANEW = "private, no-cache"
VARIES_BY_CALLER: Header = (b"vary", b"authorization, cookie, voter-code, idempotency-key")


def cors_headers(request: RawRequest) -> list[Header]:
    """CORS headers, where the page that asks is of an allowed other origin."""
    origin = request.headers.get(b"origin")
    if origin and origin.decode("latin-1") in settings.ALLOWED_ORIGINS:
        return [(b"access-control-allow-origin", origin), *_CORS_HEADERS]
    return []


def response_headers(request: RawRequest) -> list[Header]:
    """CORS and request id, for an endpoint without middleware."""
    headers = cors_headers(request)
    if not request.has_id:
        headers.append((b"x-request-id", request_ids.new_request_id().encode()))
    return headers


class Standing(NamedTuple):
    """Headers that many responses have, and the same as bytes: by `standing_headers`."""

    headers: list[Header]
    encoded: bytes


def standing_headers(headers: list[Header]) -> Standing:
    """No value may be a client's own unchecked text: nothing searches it for line ends."""
    return Standing(headers, _encode_headers(headers))


@lru_cache(maxsize=100)
def _json_headers(content_type: bytes, cache_control: bytes) -> Standing:
    headers = [
        (b"content-type", content_type),
        (b"cache-control", cache_control),
        (b"x-content-type-options", b"nosniff"),
    ]
    if cache_control == PERSONAL:
        headers.append(VARIES_BY_CALLER)
    return standing_headers(headers)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: list[Header],
    content_type: bytes = b"application/json",
    cache_control: bytes = PERSONAL,
    *,
    at_once: bool = False,
) -> None:
    """Send a whole response: as one write where possible, else by `send`.

    Args:
        at_once: do not wait for the end of this turn of the loop; for responses that were all
            made before the first of them is written.
    """
    standing = _json_headers(content_type, cache_control)
    await respond_with(send, status, body, standing, headers, at_once=at_once)


async def respond_with(
    send: Send,
    status: int,
    body: bytes,
    standing: Standing,
    headers: list[Header],
    *,
    at_once: bool = False,
) -> None:
    """The same with the headers that are given, and Content-Length."""
    if status != 304:  # there it would have to be the length of what the client has
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    cycle = getattr(send, "__self__", None)
    if type(cycle) is RequestResponseCycle:
        if not at_once:
            await _end_of_turn()
        if _write_response(cycle, status, standing.encoded, headers, body):
            return
    all_headers = [*standing.headers, *headers]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


def matches_tag(if_none_match: str, tag: str) -> bool:
    """Whether a client has what this ETag stands for, by its If-None-Match."""
    if not if_none_match:
        return False
    if if_none_match == tag:
        return True
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return tag in known or "*" in known


async def refuse(
    request: RawRequest, send: Send, error: errors.PollError, headers: list[Header]
) -> None:
    """Count what the failure missed, then send the problem."""
    if error.missed is not None:
        error = await current_attempts.get().count(error, poll=request.poll_ref)
    await respond_problem(send, error, headers)


async def respond_problem(
    send: Send, error: errors.PollError, headers: list[Header], **extra: Any
) -> None:
    if error.forgets_cookie:
        headers = [*headers, *((b"set-cookie", one) for one in FORGET_COOKIES)]
    headers = [*headers, (b"error-code", error.code.encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", AUTHENTICATE.encode()))
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    body = orjson.dumps(problem_of(error) | extra)
    await respond(send, error.status, body, headers, PROBLEM_CONTENT_TYPE.encode())


def _encode_headers(headers: Sequence[Header]) -> bytes:
    """Header lines, RFC 9112."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _write_response(
    cycle: RequestResponseCycle,
    status: int,
    standing: bytes,
    headers: Sequence[Header],
    body: bytes,
) -> bool:
    """Write one response to Uvicorn's transport, past `send`; False if that is not possible.

    Args:
        standing: header lines, by `_encode_headers`; `headers` come after them. They are not
            searched for line ends: no value may be a client's own unchecked text.
    """
    if (
        cycle.response_started
        or cycle.disconnected
        or not cycle.keep_alive
        or cycle.access_log
        or cycle.waiting_for_100_continue
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    # From here on what Uvicorn's `send` does.
    cycle.response_started = True
    cycle.transport.write(
        b"%b%b%b%b\r\n%b"
        % (
            STATUS_LINE[status],
            _encoded_server_headers(cycle.default_headers),
            standing,
            _encode_headers(headers),
            body,
        )
    )
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


def _end_of_turn() -> "asyncio.Future[None]":
    """A future that is done once the callbacks that are ready now have run."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    waiting = _waiting.get(loop)
    if waiting is None:
        waiting = _waiting[loop] = []
        loop.call_soon(_end_turn, loop)
    waiting.append(future)
    return future


def _end_turn(loop: asyncio.AbstractEventLoop) -> None:
    for future in _waiting.pop(loop):
        if not future.done():
            future.set_result(None)


def _encoded_server_headers(headers: list[Header]) -> bytes:
    global _server_headers
    known, encoded = _server_headers
    if known is not headers:
        encoded = _encode_headers(headers)
        _server_headers = headers, encoded
    return encoded
