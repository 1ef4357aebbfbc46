"""Uvicorn's WebSocket connection with bounds: control frames, fragments, what waits unread, and the
time that a message has to come whole.

Pings and pongs never reach ASGI, so they are counted here, and no pong is written to a client
that does not read. `realtime.consumers` counts what reaches it.
"""

import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

from django.conf import settings
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode as StandardCode
from websockets.frames import Frame
from websockets.protocol import Protocol as FramesProtocol
from websockets.protocol import State
from websockets.streams import StreamReader

from polls.rules.limits import LIMITS
from realtime import metrics
from realtime.close_codes import CloseCode
from realtime.waiting import Messages, Writable

# Parsed in one go: 680 of the smallest frames, 5 ms.
PIECE_BYTES = 4 * 1024
_MESSAGES_WAITING = 100
_DISCARDED_BYTES = 256 * 1024
_FAREWELL_SECONDS = 5.0
_PONG = b"\x8a"


class Timed(Protocol):
    """What sees to it that a client finishes what it began."""

    waiting_since: float  # by the event loop's clock; 0 while nothing is under way


class _NotingReader(StreamReader):
    """The library's, which notes whether the parser is between two frames."""

    is_between = True

    def at_eof(self) -> Generator[None, None, bool]:
        self.is_between = True
        has_ended = yield from super().at_eof()
        self.is_between = False
        return has_ended


class BoundedSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection. All methods on the event loop."""

    # Uvicorn's too: in a dictionary they are 1.6 KB a socket.
    __slots__ = (
        "_controls_in_second", "_discarded", "_is_over", "_messages", "_second", "_timed",
        "_when_ended", "_when_gone",
        "app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer",
        "config", "conn", "connections", "curr_msg_data_type", "default_headers", "disconnected",
        "frames", "handshake_complete", "handshake_initiated", "initial_response", "last_ping_rtt",
        "logger", "loop", "pending_ping_payload", "ping_interval", "ping_sent_at", "ping_timeout",
        "ping_timer", "pong_timer", "queue", "read_paused", "request", "response", "root_path",
        "scheme", "scope", "server", "tasks", "transport", "writable",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue: Any = Messages()
        self.writable: Any = Writable()
        self.close_timeout = _FAREWELL_SECONDS
        # Of the same layout; the parser has not asked for a frame yet.
        self.conn.reader.__class__ = _NotingReader
        self._timed: Timed | None = None
        self._messages = 0
        self._is_over = False  # what comes is thrown away
        self._discarded = 0
        self._second = 0
        self._controls_in_second = 0
        self._when_ended: tuple[Callable[[], None], ...] = ()
        self._when_gone: tuple[Callable[[], None], ...] = ()

    def let_time(self, timed: Timed) -> None:
        """Have the time that a message takes be bounded by `timed`."""
        self._timed = timed

    def on_ended(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when a bound ends the socket: nothing may be written after."""
        self._when_ended += (callback,)

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once the transport is gone; now, if it is."""
        if self.disconnected:
            callback()
        else:
            self._when_gone += (callback,)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        callbacks, self._when_gone, self._when_ended = self._when_gone, (), ()
        for callback in callbacks:
            callback()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if self._is_over or self.transport.is_closing():
                self._discard(len(data) - start)
                return
            super().data_received(data[start : start + PIECE_BYTES])
            if self.conn.handshake_exc is not None and not self.handshake_complete:
                self._refuse_handshake()
                return
        if self._timed is not None:
            self._time(self._timed)

    def end(self, code: CloseCode) -> None:
        """Close for a client that breaks a bound. Nothing more is read of it: what it still sends
        costs nothing here, TCP holds it back there."""
        if self._is_over:
            return
        self._be_over()
        metrics.CLOSED.labels(int(code)).inc()
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code)})
        if self.close_sent or not self.writable.is_set():
            self.transport.abort()
            return
        try:
            self.conn.send_close(int(code))
        except InvalidState:
            self.transport.abort()
            return
        self.close_sent, self.read_paused = True, False  # the application resumes nothing
        self.transport.pause_reading()
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def handle_ping(self) -> None:
        """Send the newest pong of those that wait, which answers all pings (RFC 6455, 5.5.3)."""
        waiting = self.conn.data_to_send()
        pongs = [one for one in waiting if one.startswith(_PONG)]
        others = [one for one in waiting if not one.startswith(_PONG)]
        if self._is_one_more() and self.writable.is_set():
            self.transport.write(b"".join((*pongs[-1:], *others)))

    def handle_pong(self, event: Frame) -> None:
        if self._is_one_more():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= LIMITS["websocket_fragments"]:
            self.end(CloseCode.BAD_FRAMES)
        elif not self._is_over:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self._is_over:
            self.frames = []
            return
        if self.queue.qsize() >= _MESSAGES_WAITING:
            self.end(CloseCode.TOO_MANY)
            return
        if self.curr_msg_data_type == "text" and not self._is_text():
            self.frames = []
            if not self.close_sent:
                self.conn.fail(StandardCode.INVALID_DATA, "not UTF-8")
                self.handle_parser_exception()
            return
        self._messages += 1
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:
        if self._is_over:
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.accept":
            self._forget_handshake()

    def handle_parser_exception(self) -> None:
        """Close for frames that are none. Before the handshake no frame may say so."""
        self._be_over()
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
        else:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
            self.transport.abort()

    def _time(self, timed: Timed) -> None:
        """Say since when a message is under way: from its first byte, be that of a fragment or of a
        frame, until it is whole."""
        reader: Any = self.conn.reader
        if self._is_over or (reader.is_between and not self.frames):
            timed.waiting_since = 0.0
        elif not timed.waiting_since or self._messages:
            timed.waiting_since = self.loop.time()
        self._messages = 0

    def _be_over(self) -> None:
        self._is_over = True
        for callback in self._when_ended:
            callback()

    def _is_text(self) -> bool:
        try:
            b"".join(self.frames).decode()
        except UnicodeDecodeError:
            return False
        return True

    def _is_one_more(self) -> bool:
        """Whether a control frame is within the rate of frames."""
        if self._is_over:
            return False
        if not settings.RATE_LIMITS:
            return True
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._controls_in_second = second, 0
        self._controls_in_second += 1
        if self._controls_in_second > settings.SOCKET_FRAMES_PER_SECOND:
            self.end(CloseCode.TOO_MANY)
            return False
        return True

    def _forget_handshake(self) -> None:
        """Give back the memory of the request's and the response's headers, a tenth of a socket."""
        del self.request, self.response
        reader: Any = self.conn.reader
        if self.conn.state is State.OPEN and reader.is_between:
            # The parser of frames alone: the one that has read the request keeps it for ever.
            self.conn.parser = FramesProtocol.parse(self.conn)
            next(self.conn.parser)

    def _refuse_handshake(self) -> None:
        """Send what the library answers to a handshake that it cannot take."""
        self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARDED_BYTES:
            self.transport.abort()
