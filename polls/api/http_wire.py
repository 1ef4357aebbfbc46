"""The short way between a lean door and Uvicorn: a body that is here already, and an answer
as one piece.

Each message of ASGI's `send` is a system call there, and one that wakes whoever waits at the
other end. A batch of votes, or a round of readers, is answered in one turn of the event loop:
their answers are laid aside and written one after the other when it ends, so that the other
end wakes once. Whatever is not plainly ready is left to the server's `receive` and `send`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]

_waiting: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
# The server makes new ones each second, for their Date.
_server_headers: tuple[list[Header], bytes] = ([], b"")


def body_at_hand(receive: Any) -> bytes | None:
    """A request's body where it has come with the head; None: ask `receive`."""
    cycle = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected:
        return None
    return bytes(cycle.body)


def encode_headers(headers: Sequence[Header]) -> bytes:
    """Header lines, RFC 9112."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def write_answer(
    send: Any, status: int, standing: bytes, headers: Sequence[Header], body: bytes
) -> bool:
    """Answer past an ASGI `send`: whether it did, or will when this turn of the loop ends.

    Args:
        standing: header lines, by `encode_headers`; `headers` come after them. None of them
            holds what a client sent unchecked: nobody looks for line ends in them here.
    """
    cycle = getattr(send, "__self__", None)
    if (
        type(cycle) is not RequestResponseCycle
        or cycle.response_started
        or cycle.disconnected
        or not cycle.keep_alive
        or cycle.access_log
        or cycle.waiting_for_100_continue
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    answer = b"%b%b%b%b\r\n%b" % (
        STATUS_LINE[status],
        _encoded_server_headers(cycle.default_headers),
        standing,
        encode_headers(headers),
        body,
    )
    # From here on what Uvicorn's `send` does with an answer's last byte.
    cycle.response_started = cycle.response_complete = True
    transport, tell_receive, on_response = (
        cycle.transport, cycle.message_event.set, cycle.on_response
    )  # fmt: skip

    def write() -> None:
        if not transport.is_closing():
            transport.write(answer)
        tell_receive()
        on_response()

    loop = asyncio.get_running_loop()
    waiting = _waiting.get(loop)
    if waiting is None:
        waiting = _waiting[loop] = []
        loop.call_soon(_write_all, loop)
    waiting.append(write)
    return True


def _write_all(loop: asyncio.AbstractEventLoop) -> None:
    for write in _waiting.pop(loop):
        write()


def _encoded_server_headers(headers: list[Header]) -> bytes:
    global _server_headers
    known, encoded = _server_headers
    if known is not headers:
        encoded = encode_headers(headers)
        _server_headers = headers, encoded
    return encoded
