"""The short way to a socket writes what the server itself would have written."""

import asyncio
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from realtime import wire


class Transport:
    """What a connection writes to, kept."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
async def connection() -> WebSocketsSansIOProtocol:
    async def application(scope: Any, receive: Any, send: Any) -> None: ...

    config = Config(application)
    config.load()
    made = WebSocketsSansIOProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    made.transport = cast(Any, Transport())
    made.conn.state = State.OPEN
    return made


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_encoded_as_the_server_would(size: int) -> None:
    text = "ü" * (size // 2) + "x" * (size % 2)
    expected = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
    assert wire.encode(text) == expected


async def test_a_socket_that_keeps_up_is_written_to(connection: WebSocketsSansIOProtocol) -> None:
    write = wire.writer_of(connection.send)
    assert write is not None
    assert write(b"frame")
    assert cast(Any, connection.transport).written == b"frame"


@pytest.mark.parametrize("reason", ["full", "closed", "closing", "lost"])
async def test_a_socket_that_is_not_ready_is_left_alone(
    connection: WebSocketsSansIOProtocol, reason: str
) -> None:
    write = wire.writer_of(connection.send)
    assert write is not None
    if reason == "full":
        connection.pause_writing()
    elif reason == "closed":
        connection.close_sent = True
    elif reason == "closing":
        connection.conn.state = State.CLOSING
    else:
        cast(Any, connection.transport).closing = True
    assert not write(b"frame")
    assert cast(Any, connection.transport).written == b""


async def test_there_is_no_short_way_past_another_servers_send() -> None:
    async def send(message: dict[str, Any]) -> None: ...

    assert wire.writer_of(send) is None
