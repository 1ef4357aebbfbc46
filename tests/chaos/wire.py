"""HTTP and WebSocket as bytes on a TCP connection: cheap enough for hundreds of sockets and
thousands of votes a second beside the servers on one machine, and able to misbehave."""

import asyncio
import base64
import os
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple, cast

OP_TEXT, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG = 1, 2, 8, 9, 10
CLOSED_WITHOUT_A_WORD = 1006


class Answer(NamedTuple):
    """An HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Dropped(ConnectionError):
    """The connection ended before the answer came."""


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body or method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection, one request at a time, answers with a Content-Length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()

    @classmethod
    async def open(cls, port: int, source: str | None = None) -> "HttpConnection":
        """From the address `source`, where it is given. Raises OSError when no server listens."""
        loop = asyncio.get_running_loop()
        own = (source, 0) if source else None
        _, connection = await loop.create_connection(cls, "127.0.0.1", port, local_addr=own)
        return connection

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Answer:
        """Raises Dropped."""
        if self._transport is None or self._transport.is_closing():
            raise Dropped
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def gone(self) -> None:
        await self._gone.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Dropped())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        size = end + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < size:
            return
        answer = Answer(int(head[0][9:12]), headers, bytes(self._buffer[end + 4 : size]))
        del self._buffer[:size]
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


def upgrade_bytes(path: str, headers: dict[str, str] | None = None) -> bytes:
    """A WebSocket's opening handshake."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        *(f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket"),
        *("Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"),
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def frame_bytes(payload: bytes, opcode: int = OP_TEXT, *, first: int | None = None) -> bytes:
    """A client's frame, masked with zeros; `first` replaces its first byte."""
    size = len(payload)
    if size < 126:
        length = struct.pack("!B", 0x80 | size)
    elif size < 65536:
        length = struct.pack("!BH", 0x80 | 126, size)
    else:
        length = struct.pack("!BQ", 0x80 | 127, size)
    return bytes([0x80 | opcode if first is None else first]) + length + b"\0\0\0\0" + payload


class WatchSocket(asyncio.Protocol):
    """A WebSocket client that reads, answers pings and hands on what came.

    Args:
        path: what to ask for.
        on_text: called with each text frame's bytes.
        headers: of the handshake.
        receive_buffer: bytes that the kernel keeps for us; 0 leaves it to the kernel.
    """

    def __init__(
        self,
        path: str,
        on_text: Callable[[bytes], None] = lambda text: None,
        headers: dict[str, str] | None = None,
        receive_buffer: int = 0,
    ) -> None:
        self._path = path
        self._receive_buffer = receive_buffer
        self._on_text = on_text
        self._headers = headers
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_upgraded = False
        self.status = 0
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.close_code = CLOSED_WITHOUT_A_WORD

    async def connect(self, port: int, source: str | None = None) -> "WatchSocket":
        """Raises OSError when no server listens; `opened` is done after the handshake."""
        loop = asyncio.get_running_loop()
        if not self._receive_buffer:
            own = (source, 0) if source else None
            await loop.create_connection(lambda: self, "127.0.0.1", port, local_addr=own)
            return self
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        plain.setblocking(False)
        await loop.sock_connect(plain, ("127.0.0.1", port))
        await loop.create_connection(lambda: self, sock=plain)
        return self

    def send(self, data: bytes) -> None:
        """Any bytes, as they are."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def stop_reading(self) -> None:
        """From now on leave everything in the kernel's buffer."""
        assert self._transport is not None
        self._transport.pause_reading()

    def read_on(self) -> None:
        assert self._transport is not None
        self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.write(upgrade_bytes(self._path, self._headers))

    def connection_lost(self, exc: Exception | None) -> None:
        self.opened.set()
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._is_upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.status = int(buffer[9:12])
            if self.status != 101:
                self.close()
                return
            del buffer[: end + 4]
            self._is_upgraded = True
            self.opened.set()
        while len(buffer) >= 2:
            size, start = buffer[1] & 0x7F, 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + size:
                return
            opcode, payload = buffer[0] & 0x0F, bytes(buffer[start : start + size])
            del buffer[: start + size]
            self._take(opcode, payload)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == OP_TEXT:
            self._on_text(payload)
        elif opcode == OP_PING:
            self.send(frame_bytes(payload, OP_PONG))
        elif opcode == OP_CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
            self.send(frame_bytes(payload[:2], OP_CLOSE))
            if self._transport is not None:
                self._transport.close()
