"""Uvicorn's HTTP connection with bounds: line, headers, queued requests, time.

What the parser is handed is counted as it is read, so that no client fills memory before a
request exists. A request beyond a bound gets 400, 408, 414 or 431 as problem+json where a
response can still be given, then the connection is closed; responses to earlier requests of the
same connection are finished first.
"""

import asyncio
from functools import partial
from typing import Any

import httptools
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from livepoll.request_guard import BOUNDED, OVER_LIMIT
from livepoll.transport.connections import Connection, running_connections
from livepoll.transport.refusals import Refused, note_refusal, response_bytes
from polls import errors
from polls.identity.client_address import subscriber_of
from polls.rules.limits import LIMITS
from realtime.close_codes import CloseCode
from realtime.socket_protocol import BoundedSocket

# The parser is given no more at a time: what one call of it can make is bounded by this.
PIECE_BYTES = 16 * 1024
# Framing of chunks and trailers, of which the parser hands nothing out.
_SILENT_BYTES = 2 * PIECE_BYTES
# Read and thrown away of a client that sends on after its response.
_DISCARDED_BYTES = 4 * 1024 * 1024
# The websockets library takes no longer header lines.
_UPGRADE_LINE_BYTES = 8000
_FAREWELL_SECONDS = 2.0
# The shortest Retry-After: who keeps to that does not notice.
HELD_SECONDS = 1.0
_LOOKED_AT = frozenset((b"host", b"expect", b"transfer-encoding"))

_LINE_BYTES = LIMITS["request_line_bytes"]
_HEADERS = LIMITS["request_headers"]
_HEADER_BYTES = LIMITS["request_header_bytes"]
_QUEUED = LIMITS["pipelined_requests"]
_PER_LINE_BYTES = 4  # ": " and the line's end


class BoundedHTTP(HttpToolsProtocol):
    """One HTTP connection. All methods on the event loop."""

    # Beside the 28 attributes of Uvicorn's, which Python looks up fast while there are no more than
    # 30: as attributes like them these made each vote 15 us dearer.
    __slots__ = (
        "_codings", "_discarded", "_has_begun", "_head_fed", "_hosts", "_in_head", "_is_held",
        "_is_over", "_is_whole", "_refusal", "_running", "_silent", "connection",
    )  # fmt: skip

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.connection: Connection | None = None
        self._is_held = False  # nothing is read, after a 429
        self._is_over = False  # what comes is thrown away
        self._is_whole = False  # no request is under way
        self._has_begun = False
        self._in_head = True
        self._head_fed = 0  # of the head, in pieces before the one that completes it
        self._silent = self._discarded = self._hosts = self._codings = 0
        self._running: RequestResponseCycle | None = None
        self._refusal: Refused | None = None
        super().__init__(*arguments, **options)

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connections = running_connections(self.loop)
        peer = self.client[0] if self.client and not settings.TRUSTED_PROXIES else ""
        connection = Connection(transport, subscriber_of(peer) if peer else "", self._on_timeout)
        if connections.admit(connection):
            self.connection = connection
            return
        self._is_over = True
        transport.write(response_bytes(errors.Overloaded("Too many connections.", retry_after=5)))
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pipeline.clear()
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._release()

    def resume_writing(self) -> None:
        if self.connection is not None:
            self.connection.resume()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _release(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            running_connections(self.loop).release(connection)

    # Bytes

    def data_received(self, data: bytes) -> None:
        if len(data) <= PIECE_BYTES:
            self._feed(data)
            return
        pieces = memoryview(data)
        for start in range(0, len(data), PIECE_BYTES):
            if not self._feed(pieces[start : start + PIECE_BYTES]):
                return

    def _feed(self, data: bytes | memoryview) -> bool:
        """Parse one piece; whether the next one may follow."""
        if self._is_over:
            self._discard(len(data))
            return True
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return False
            # To something else: this request is answered. What follows it the parser would not
            # read as this client means it, so none of it is a request.
            self._is_over = True
            self.cycle.keep_alive = False
            return True
        except httptools.HttpParserError:
            self._refuse(self._refusal or _malformed())
            return True
        if not self._is_whole:
            self._count_unfinished(len(data))
        return True

    def _count_unfinished(self, size: int) -> None:
        """A piece after which the request is not whole."""
        connection = self.connection
        if connection is not None and not connection.waiting_since:
            connection.waiting_since = self.loop.time()
        if not self._has_begun:  # blank lines
            return
        if self._in_head:
            self._head_fed += size
            too_long = self._head_fed > _HEADER_BYTES + _LINE_BYTES + PIECE_BYTES
            if too_long or len(self.headers) > _HEADERS:
                self._refuse(_headers_too_large())
        else:
            self._silent += size
            if self._silent > _SILENT_BYTES:
                self._refuse(_malformed("framing"))
            elif self.cycle.response_complete:
                self._discard(size)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARDED_BYTES:
            self.transport.abort()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        super().on_message_begin()
        self.scope[BOUNDED] = True  # type: ignore[literal-required]
        self._is_whole = False
        self._has_begun = True
        self._in_head = True
        self._head_fed = self._silent = self._discarded = self._hosts = self._codings = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > _LINE_BYTES:
            self._stop(Refused("request_line", errors.URITooLong(
                f"At most {_LINE_BYTES} bytes are taken.")))  # fmt: skip

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _LOOKED_AT:
            self._look_at(name, value)
        self.headers.append((name, value))  # counted once a piece: see _count_unfinished

    def _look_at(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
        elif not self._in_head:  # a trailer
            return
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        else:
            self._codings += 1
            if value.lower() != b"chunked":  # others would reach the application encoded
                self._stop(_malformed("transfer_encoding"))

    def on_headers_complete(self) -> None:
        headers = self.headers
        if len(headers) > _HEADERS or (self._head_fed and _size(headers) > _HEADER_BYTES):
            self._stop(_headers_too_large())
        if not self._is_plain_http():
            self._stop(_malformed("version_or_host"))
        if len(self.pipeline) >= _QUEUED:
            self._stop(_malformed("pipelining", "Too many requests at once."))
        is_upgrade = self.parser.should_upgrade()
        if is_upgrade and (self._codings or any(name == b"content-length" for name, _ in headers)):
            self._stop(_malformed("upgrade", "A request with a body asks for no upgrade."))
        if is_upgrade and self._should_upgrade():
            if any(len(n) + len(v) > _UPGRADE_LINE_BYTES for n, v in headers):
                self._stop(_headers_too_large())
            if self._is_responding():
                self._stop(_malformed("pipelining"))
        super().on_headers_complete()
        self._in_head = False
        if not is_upgrade:  # what comes now are trailers, which are never taken for headers
            self.headers = []

    def _is_plain_http(self) -> bool:
        """One Host in HTTP/1.1, as RFC 9112 asks, and at most one in 1.0, with nothing chunked."""
        version = self.parser.get_http_version()
        if version == "1.1":
            return self._hosts == 1
        return bool(version == "1.0" and self._hosts <= 1 and not self._codings)

    def on_body(self, body: bytes) -> None:
        self._silent = 0
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._silent = 0

    def on_chunk_complete(self) -> None:
        self._silent = 0

    def on_message_complete(self) -> None:
        self._is_whole = True
        if self.connection is not None:
            self.connection.waiting_since = 0.0
        super().on_message_complete()

    def _stop(self, refusal: Refused) -> None:
        """Have the parser stop; `_feed` refuses what it had."""
        self._refusal = refusal
        raise refusal

    # Requests

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on to the next request; after a 429 only when its client may try again.

        Until then nothing is read: TCP holds a flood back where it comes from, and a connection
        costs a refusal a second. Not behind a proxy, whose connections are of many clients.
        """
        running = self._running
        if running is None or OVER_LIMIT not in running.scope or settings.TRUSTED_PROXIES:
            super().on_response_complete()
            return
        self._is_held = True
        self.flow.pause_reading()
        self.loop.call_later(HELD_SECONDS, self._read_on)

    def _read_on(self) -> None:
        self._is_held = False
        super().on_response_complete()

    def _is_responding(self) -> bool:
        """Whether a response is under way, or those that wait are held."""
        running = self._running
        return running is not None and (self._is_held or not running.response_complete)

    def handle_websocket_upgrade(self) -> None:
        connection, self.connection = self.connection, None
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        # A cycle with this object, and 3 KB for as long as the socket lives.
        self.parser = None  # type: ignore[assignment]
        if connection is None:
            return
        connection.on_timeout = connection.transport.abort
        connection.waiting_since = 0.0
        connection.is_socket = True
        release = running_connections(self.loop).release
        if isinstance(protocol, BoundedSocket):
            connection.on_timeout = partial(protocol.end, CloseCode.TOO_SLOW)
            protocol.let_time(connection)
            protocol.on_gone(lambda: release(connection))
        else:
            release(connection)

    def _on_timeout(self) -> None:
        if self._is_over or not self._has_begun:
            self.transport.abort()
        else:
            seconds = f"A request has {settings.REQUEST_SECONDS} s to arrive."
            self._refuse(Refused("request_timeout", errors.RequestTimeout(seconds)))

    def _refuse(self, refusal: Refused) -> None:
        """Give this request its refusal, where nothing is under way that it would mix with."""
        if self._is_over:
            return
        self._is_over = True
        note_refusal(refusal.reason, self.client[0] if self.client else "")
        if self.transport.is_closing():
            return
        cycle = self.cycle
        is_own = not self._in_head and not self._is_whole  # its head came, its body is at fault
        if is_own and cycle.response_complete:
            self.transport.close()
        elif not self._is_responding():
            self._respond_and_close(refusal)
        elif is_own and cycle is self._running and not cycle.response_started:
            cycle.disconnected = True
            cycle.message_event.set()
            self._respond_and_close(refusal)
        else:
            if is_own and self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else self._running
            assert last is not None
            last.keep_alive = False

    def _respond_and_close(self, refusal: Refused) -> None:
        """Respond, say that no more follows, and let the client read before the end.

        Closed at once, what is still under way to us would make the kernel drop the response.
        """
        self._unset_keepalive_if_required()
        self.transport.write(response_bytes(refusal.error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            if self.connection is not None:
                self.connection.end_in(_FAREWELL_SECONDS, self.loop.time())
        else:
            self.transport.close()


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + _PER_LINE_BYTES for name, value in headers)


def _headers_too_large() -> Refused:
    detail = f"At most {_HEADERS} headers of {_HEADER_BYTES} bytes together are taken."
    return Refused("headers", errors.HeadersTooLarge(detail))


def _malformed(reason: str = "malformed", detail: str = "This is not HTTP/1.1.") -> Refused:
    return Refused(reason, errors.Malformed(detail))
