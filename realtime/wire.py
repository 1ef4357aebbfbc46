"""The short way to a socket: a frame made once, written as it is where nothing waits.

Under Uvicorn a socket that keeps up is handed the very bytes of a frame; the server's own
`send` would build them anew for each socket, by a task to wake and a coroutine to run.
Whatever is not plainly ready (a client that does not read, a closing socket, another
server) is left to that `send`.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

Write = Callable[[bytes], bool]

_FINAL_TEXT = 0x81
_LONG, _VERY_LONG = 126, 127


def encode(text: str) -> bytes:
    """A server's unmasked text frame, RFC 6455; also right where compression was agreed."""
    payload = text.encode()
    size = len(payload)
    if size < _LONG:
        return bytes((_FINAL_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL_TEXT, _LONG)) + size.to_bytes(2, "big") + payload
    return bytes((_FINAL_TEXT, _VERY_LONG)) + size.to_bytes(8, "big") + payload


def writer_of(send: Any) -> Write | None:
    """How to write past an ASGI `send`: answers whether it did. None where it is not known how."""
    connection = getattr(send, "__self__", None)
    if type(connection) is not WebSocketsSansIOProtocol:
        return None

    def write(frame: bytes) -> bool:
        if (
            not connection.writable.is_set()
            or connection.close_sent
            or connection.conn.state is not State.OPEN
            or connection.transport.is_closing()
        ):
            return False
        connection.transport.write(frame)
        return True

    return write
