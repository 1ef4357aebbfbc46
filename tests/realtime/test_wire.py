"""Frames past the server's `send` are what the server itself would have written."""

import asyncio
import socket
from typing import Any, cast

import pytest
import uvloop
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import State

from realtime import wire

FRAMES = 2_000
DEADLINE_SECS = 10
FRAME_BYTES = 4_000  # together more than any socket buffer


async def application(scope: Any, receive: Any, send: Any) -> None: ...


def connection_on(transport: asyncio.Transport) -> WebSocketsSansIOProtocol:
    """One of Uvicorn's after its handshake."""
    config = Config(application)
    config.load()
    made = WebSocketsSansIOProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    made.transport = transport
    made.conn.state = State.OPEN
    made.conn.parser = made.conn.parse()
    next(made.conn.parser)
    made.handshake_complete = True
    return made


class Transport:
    """What a connection writes to, kept."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True


@pytest.fixture
async def connection() -> WebSocketsSansIOProtocol:
    return connection_on(cast(Any, Transport()))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_encoded_as_the_server_would(size: int) -> None:
    text = "ü" * (size // 2) + "x" * (size % 2)
    expected = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
    assert wire.encode(text) == expected


async def test_a_socket_that_keeps_up_is_written_to(connection: WebSocketsSansIOProtocol) -> None:
    line = wire.writer_of(connection.send)
    assert line is not None
    assert line.write(b"frame")
    assert cast(Any, connection.transport).written == b"frame"


@pytest.mark.parametrize("reason", ["full", "closed by the client", "cut off", "shut down"])
async def test_a_socket_that_is_not_ready_is_left_alone(
    connection: WebSocketsSansIOProtocol, reason: str
) -> None:
    transport = cast(Any, connection.transport)
    line = wire.writer_of(connection.send)
    assert line is not None
    if reason == "full":
        connection.pause_writing()
        transport.unsent = 100_000
    elif reason == "closed by the client":
        payload = Close(CloseCode.NORMAL_CLOSURE, "").serialize()
        connection.data_received(Frame(Opcode.CLOSE, payload).serialize(mask=True))
    elif reason == "cut off":
        connection.keepalive_timeout()
    else:
        connection.connections.add(connection)
        connection.shutdown()
    before = transport.written
    assert not line.write(b"frame")
    assert transport.written == before


async def test_there_is_no_short_way_past_another_servers_send() -> None:
    async def send(message: dict[str, Any]) -> None: ...

    assert wire.writer_of(send) is None


def test_what_a_full_socket_is_written_arrives_whole_and_in_order() -> None:
    """Past uvloop while it holds nothing back, through it else; pings come between."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        client.setblocking(False)
        protocols: list[WebSocketsSansIOProtocol] = []

        class Front(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                protocols.append(connection_on(cast(asyncio.Transport, transport)))

            def pause_writing(self) -> None:
                protocols[0].pause_writing()

            def resume_writing(self) -> None:
                protocols[0].resume_writing()

        transport, _ = await loop.connect_accepted_socket(Front, accepted)
        line = wire.writer_of(protocols[0].send)
        assert line is not None
        try:
            sent, received = bytearray(), bytearray()
            refused = 0
            for number in range(FRAMES):
                frame = wire.encode(f"{number:06}" + "x" * FRAME_BYTES)
                if line.write(frame):
                    sent += frame
                else:
                    refused += 1
                    async with asyncio.timeout(DEADLINE_SECS):
                        received += await loop.sock_recv(client, 300_000)
                if number % 100 == 0:
                    ping = Frame(Opcode.PING, b"%d" % number).serialize(mask=False)
                    transport.write(ping)
                    sent += ping
            async with asyncio.timeout(DEADLINE_SECS):
                while len(received) < len(sent):
                    received += await loop.sock_recv(client, 1 << 20)
            arrived_whole = received == sent  # megabytes: no assertion shall print them
            assert arrived_whole
            assert refused  # else the socket was never full, and nothing was tried
        finally:
            transport.abort()
            client.close()

    uvloop.run(main())
