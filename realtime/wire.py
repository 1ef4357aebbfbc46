"""Frames past the server's `send`: encoded once, written as they are where nothing waits.

Under Uvicorn a socket that keeps up is handed the very bytes of a frame; the server's own
`send` would build them anew for each socket, by a task to wake and a coroutine to run.
Where the event loop is uvloop and nothing waits in it, they go straight to the kernel.
Sockets that are not ready (a client that does not read, a closing socket, another server)
are left to that `send`.
"""

import os
from asyncio import BaseTransport
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from realtime.close_codes import CloseCode
from realtime.socket_protocol import BoundedSocket

_FINAL_TEXT = 0x81
_LONG, _VERY_LONG = 126, 127
_NO_DESCRIPTOR = -1
_KNOWN = (BoundedSocket, WebSocketsSansIOProtocol)


def encode(text: str) -> bytes:
    """A server's unmasked text frame, RFC 6455; also right where compression was agreed."""
    payload = text.encode()
    size = len(payload)
    if size < _LONG:
        return bytes((_FINAL_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL_TEXT, _LONG)) + size.to_bytes(2, "big") + payload
    return bytes((_FINAL_TEXT, _VERY_LONG)) + size.to_bytes(8, "big") + payload


class DirectWriter:
    """Writes to one socket of Uvicorn's, past its `send`.

    The caller must not write after it has had the socket closed itself; a close by the client,
    the server or the network is noticed here.
    """

    # Ten thousand are walked ten times a second, each time past the CPU caches: what is not
    # looked at need not be fetched.
    __slots__ = ("_connection", "_descriptor", "_transport")

    def __init__(self, connection: WebSocketsSansIOProtocol) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._descriptor = _descriptor(connection.transport)

    def write(self, frame: bytes) -> bool:
        """Send what `encode` made; False where it has to wait: nothing was sent then."""
        transport = self._transport
        if transport.is_closing():
            return False
        if transport.get_write_buffer_size() or self._descriptor < 0:
            if not self._connection.writable.is_set():
                return False
            transport.write(frame)
            return True
        try:
            sent = os.write(self._descriptor, frame)
        except OSError:  # it is full, or gone: the event loop waits, or finds out by itself
            sent = 0
        if sent < len(frame):
            transport.write(frame[sent:])
        return True


def writer_of(send: Any) -> DirectWriter | None:
    """The line past this ASGI `send`; None under another server."""
    connection: Any = getattr(send, "__self__", None)
    return DirectWriter(connection) if type(connection) in _KNOWN else None


def when_ended(send: Any, callback: Callable[[], None]) -> None:
    """Have `callback` called when the server itself ends the socket: write nothing after."""
    connection = getattr(send, "__self__", None)
    if isinstance(connection, BoundedSocket):
        connection.on_ended(callback)


def when_gone(send: Any, callback: Callable[[], None]) -> None:
    """Have `callback` called once the TCP connection is gone; now, under a server that does not
    say when."""
    connection = getattr(send, "__self__", None)
    if isinstance(connection, BoundedSocket):
        connection.on_gone(callback)
    else:
        callback()


def end(send: Any, code: CloseCode) -> bool:
    """Close for a client that breaks a bound, and read nothing more of it; False under another
    server, which was told nothing then."""
    connection = getattr(send, "__self__", None)
    if not isinstance(connection, BoundedSocket):
        return False
    connection.end(code)
    return True


def abort(send: Any) -> None:
    """End the TCP connection at once, with all that its client does not take."""
    connection = getattr(send, "__self__", None)
    if isinstance(connection, WebSocketsSansIOProtocol):
        connection.transport.abort()


def _descriptor(transport: BaseTransport) -> int:
    """What to write to in the transport's stead while it holds nothing back.

    Only past uvloop's own for plain TCP, which never leaves a closed descriptor behind without
    saying that it is closing; one for TLS has the same socket under it.
    """
    kind = type(transport)
    if (kind.__module__, kind.__name__) != ("uvloop.loop", "TCPTransport"):
        return _NO_DESCRIPTOR
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor
