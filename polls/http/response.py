"""Answers of the raw ASGI endpoints: headers, CORS, problem+json."""

from functools import lru_cache
from typing import Any

import orjson
from django.conf import settings

from polls import errors
from polls.http import request_ids
from polls.http.problems import AUTHENTICATE, PROBLEM_CONTENT_TYPE, problem_of
from polls.http.request import RawRequest, Send
from polls.http.wire import Header, encode_headers, write_answer
from polls.identity.voters import COOKIE_NAME

_CORS_HEADERS: tuple[Header, ...] = (
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", b"ETag, Retry-After, X-Request-ID"),
    (b"vary", b"origin"),
)


def cors_headers(request: RawRequest) -> list[Header]:
    """What a page of an allowed other origin needs to read the answer."""
    origin = request.headers.get(b"origin")
    if origin and origin.decode("latin-1") in settings.ALLOWED_ORIGINS:
        return [(b"access-control-allow-origin", origin), *_CORS_HEADERS]
    return []


def answer_headers(request: RawRequest) -> list[Header]:
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
    request: RawRequest, send: Send, error: errors.PollError, headers: list[Header]
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
