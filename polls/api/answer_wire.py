"""The short way for an answer: head and body as one piece, written with its neighbours.

Under Uvicorn each ASGI message is a system call, and one that wakes whoever waits at the
other end. A batch of votes, or a round of readers, is answered in one turn of the event loop:
their answers are laid aside and written one after the other at its end, so that the other end
wakes once. Whatever is not plainly ready is left to the server's own `send`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]

_waiting: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}


def write_answer(send: Any, status: int, headers: Sequence[Header], body: bytes) -> bool:
    """Answer past an ASGI `send`: whether it did, or will at the end of this turn.

    Args:
        headers: all of them but the server's own; what clients sent is in none of them
            without having been checked.
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
    pieces = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        pieces += (name, b": ", value, b"\r\n")
    pieces += (b"\r\n", body)
    answer = b"".join(pieces)
    # What Uvicorn's `send` does when it has written an answer's last byte.
    cycle.response_started = cycle.response_complete = True
    transport, tell_read, on_response = cycle.transport, cycle.message_event.set, cycle.on_response

    def write() -> None:
        if not transport.is_closing():
            transport.write(answer)
        tell_read()
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
