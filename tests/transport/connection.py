"""One connection of ours in process: bytes in, bytes out, and a clock that a test turns."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from livepoll.request_guard import guarded
from livepoll.transport.connections import Connections, running_connections
from livepoll.transport.http_protocol import BoundedHTTP
from polls.http.request import RawRequest
from polls.http.response import respond
from realtime.socket_protocol import BoundedSocket
from tests.chaos.wire import upgrade_bytes

TURNS = 30  # of the event loop, more than any request here takes

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Transport:
    """What a connection writes to, kept. `unsent` is what its client has not taken."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.written = bytearray()
        self.unsent = 0
        self.is_closed = False
        self.is_aborted = False
        self.has_written_eof = False
        self.is_reading = True
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        assert not self.has_written_eof
        if not self.is_closed:
            self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            if not self.unsent:
                self._lose()

    def abort(self) -> None:
        self.is_closed, self.unsent = True, 0
        if not self.is_aborted:
            self.is_aborted = True
            self._lose()

    def _lose(self) -> None:
        asyncio.get_running_loop().call_soon(lambda: self.protocol.connection_lost(None))

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_written_eof = True

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_extra_info(self, name: str) -> Any:
        return (self.peer, 4711) if name == "peername" else None


class Wire:
    """A connection to an application.

    Args:
        application: of ASGI; by default one that keeps what it saw in `seen`.
        peer: the client's address.
    """

    def __init__(self, application: Application | None = None, peer: str = "192.0.2.1") -> None:
        self.seen: list[tuple[str, str, dict[bytes, bytes], bytes]] = []
        self.plain = guarded(self._keep)
        config = Config(
            application or self.plain,
            http=BoundedHTTP,
            ws=BoundedSocket,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            lifespan="off",
        )
        config.load()
        self.state = ServerState()
        self.loop = asyncio.get_running_loop()
        self.transport = Transport(peer)
        self.http = BoundedHTTP(config, self.state, {}, self.loop)
        self.transport.protocol = self.http
        self.http.connection_made(cast(Any, self.transport))

    async def _keep(self, scope: Any, receive: Any, send: Any) -> None:
        request = RawRequest.of(scope)
        body = await request.body(receive, limit=1 << 20)
        self.seen.append((scope["method"], scope["path"], dict(scope["headers"]), body))
        await respond(send, 200, b"got " + body, [])

    @property
    def connections(self) -> Connections:
        return running_connections(self.loop)

    @property
    def out(self) -> bytes:
        return bytes(self.transport.written)

    @property
    def statuses(self) -> list[int]:
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+) ", self.out)]

    @property
    def socket(self) -> BoundedSocket:
        assert isinstance(self.transport.protocol, BoundedSocket)
        return self.transport.protocol

    async def send(self, *pieces: bytes) -> "Wire":
        """Each piece as one read of the server's; then until nothing moves."""
        for piece in pieces:
            if self.transport.is_closed:
                break
            self.transport.protocol.data_received(piece)
            await self.settle()
        return self

    async def settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def after(self, seconds: float) -> "Wire":
        """What the connections' clock would do so many seconds from now."""
        for portion in self.connections._portions:
            for connection in list(portion):
                if connection.transport is cast(Any, self.transport):
                    self.connections.look_at(connection, self.loop.time() + seconds)
        await self.settle()
        return self

    async def upgrade(self) -> "Wire":
        await self.send(upgrade_bytes("/ws/polls/AAAAAA/"))
        assert self.statuses == [101]
        self.transport.written.clear()
        return self

    async def end(self) -> None:
        """Drop the connection; its timers with it."""
        if not self.transport.is_closed:
            self.transport.abort()
        await self.settle()
        for task in list(self.state.tasks):
            task.cancel()
        await self.settle()
