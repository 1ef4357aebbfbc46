"""The short way between a lean door and Uvicorn: a body that is here already, and an answer
as one piece.

Each message of ASGI's `send` is a system call there, and one that wakes whoever waits at the
other end. A round of readers is answered in one turn of the event loop: who has an answer waits
for the turn to end, so that all are written one right after the other and the other end wakes
once. The answers to a batch of votes are made before anybody wakes, and are written `at_once`.
Whatever is not plainly ready is left to the server's `receive` and `send`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]

_waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
# The server makes new ones each second, for their Date.
_server_headers: tuple[list[Header], bytes] = ([], b"")


def body_at_hand(receive: Any) -> bytes | None:
    """A request's body where it has come with the head; None: ask `receive`."""
    cycle = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.message_event.clear()  # what comes next is that the client has gone
    return body


def encode_headers(headers: Sequence[Header]) -> bytes:
    """Header lines, RFC 9112."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


async def write_answer(
    send: Any,
    status: int,
    standing: bytes,
    headers: Sequence[Header],
    body: bytes,
    *,
    at_once: bool = False,
) -> bool:
    """Answer past an ASGI `send` when this turn of the loop ends: whether it did.

    Args:
        at_once: not with the others of this turn.
        standing: header lines, by `encode_headers`; `headers` come after them. None of them
            holds what a client sent unchecked: nobody looks for line ends in them here.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle:
        return False
    if not at_once:
        await _end_of_turn()
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
            encode_headers(headers),
            body,
        )
    )
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


def _end_of_turn() -> "asyncio.Future[None]":
    """Done when all that the event loop has ready by now has run."""
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
        encoded = encode_headers(headers)
        _server_headers = headers, encoded
    return encoded
