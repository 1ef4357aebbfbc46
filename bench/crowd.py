"""Screens by the thousand: WebSocket clients that cost next to nothing.

Frames are counted by their headers; no payload is decoded. A few screens, or all of them
where the caller says so, also note when they first had which version. Whether the client
is the limit is not a matter of belief: every measurement tells the load's own CPU time.
"""

import asyncio
import os
import random
from array import array
from base64 import b64encode
from bisect import bisect_left
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, cast

Greeting = Literal["frame", "upgrade", "socket.io"]

SAMPLES = 8
TURN_SECS = 0.05
_SHARES = 10  # of a turn: so many breaks in which the samples are read
_READ_BYTES = 1 << 15
_TEXT, _CLOSE, _PING = 1, 8, 9
_MEDIUM_TEXT = b"\x81\x7e"  # a whole text of 126 bytes to 64 KiB
_NO_MASK = b"\0\0\0\0"  # a client must mask; this mask changes nothing


@dataclass(frozen=True)
class Endpoint:
    """Where screens connect, and what they need to know of the server.

    Args:
        greeting: what makes a screen live: its first text frame, the upgrade itself, or
            Socket.IO's handshake.
        marker: what stands before the version in a frame.
        also: ports of further processes of the same site; screens take turns.
        paths: instead of `path`, one for each screen.
        has_one_address: all screens share one, as behind a hall's Wi-Fi.
    """

    port: int
    path: str
    greeting: Greeting = "frame"
    marker: bytes = b'"version":'
    also: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()
    has_one_address: bool = False

    def handshake(self, index: int) -> bytes:
        """The request of the `index`th screen."""
        path = self.paths[index] if self.paths else self.path
        key = b64encode(b"livepoll-bench-0").decode()
        return (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()


def _source() -> str:
    """A loopback address of one's own, as each phone has one.

    Where thousands share one, ports of connections just closed run short, and the kernel's
    search for a free one took up to 10 ms.
    """
    return f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"


class Crowd:
    """All screens of one measurement. Lives on one event loop.

    Args:
        notes_all: every screen keeps the versions it saw, not only a few samples.
    """

    def __init__(self, endpoint: Endpoint, *, notes_all: bool = False) -> None:
        self.endpoint = endpoint
        self.screens: list[Screen] = []
        self.samples: list[NotingScreen] = []
        self.frames = 0
        self.lost = 0
        self.on_version: list[asyncio.Future[None]] = []
        self._notes_all = notes_all
        self._loop = asyncio.get_running_loop()

    async def open(self, number: int, *, at_once: int = 200, deadline_secs: float = 120) -> float:
        """Connect this many screens, `at_once` at a time; seconds until all were live.

        Raises:
            TimeoutError: some were not by the deadline.
        """
        start = perf_counter()
        first = len(self.screens)
        numbers = iter(range(first, first + number))

        async def open_some() -> None:
            for index in numbers:
                # An odd distance, so that the samples are spread over all processes.
                noting = self._notes_all or index % (number // SAMPLES | 1) == 0
                screen = NotingScreen(self) if noting else Screen(self)
                await self.connect(screen, index)
                self.screens.append(screen)
                if isinstance(screen, NotingScreen):
                    self.samples.append(screen)

        async with asyncio.timeout(deadline_secs):
            await asyncio.gather(*(open_some() for _ in range(min(at_once, number))))
        return perf_counter() - start

    async def connect(self, screen: "Screen", index: int) -> None:
        """Connect one screen and wait until it is live.

        Raises:
            OSError: it was refused, or closed before it was live.
        """
        # The loop's own socket: one of ours, closed on a timeout while the loop still knew its
        # number, took the next socket of that number with it.
        ports = (self.endpoint.port, *self.endpoint.also)
        screen.handshake = self.endpoint.handshake(index)
        source = None if self.endpoint.has_one_address else (_source(), 0)
        await self._loop.create_connection(
            lambda: screen, "127.0.0.1", ports[index % len(ports)], local_addr=source
        )
        await screen.live

    @property
    def newest_everywhere(self) -> int:
        """The version that every sample has at least."""
        return min(screen.version for screen in self.samples)

    async def until_version(self, version: int, deadline_secs: float) -> bool:
        """Whether every sample had this version before the deadline."""
        deadline = perf_counter() + deadline_secs
        while self.newest_everywhere < version:
            left = deadline - perf_counter()
            if left <= 0:
                return False
            waiter = self._loop.create_future()
            self.on_version.append(waiter)
            timer = self._loop.call_later(left, _wake, waiter)
            await waiter
            timer.cancel()
        return True

    def wake_waiters(self) -> None:
        """A sample has a newer version."""
        waiting, self.on_version = self.on_version, []
        for waiter in waiting:
            _wake(waiter)

    async def read_in_turns(self) -> None:
        """Read every screen but the samples each TURN_SECS, until cancelled.

        Most frames then need no wake-up and no read of their own: 2 to 3 us a frame instead
        of 8. When a frame came is known of samples only; that it came, of all.
        """
        screens = [screen for screen in self.screens if not isinstance(screen, NotingScreen)]
        for screen in screens:
            screen.take_over()
        while True:
            for share in range(_SHARES):
                for screen in screens[share::_SHARES]:
                    screen.read()
                await asyncio.sleep(TURN_SECS / _SHARES)

    async def close(self) -> None:
        for screen in self.screens:
            screen.leave()
        await asyncio.gather(*(screen.gone for screen in self.screens))


class Screen(asyncio.Protocol):
    """One socket that counts what it is sent."""

    __slots__ = (
        "_crowd", "_descriptor", "_is_open", "_rest", "_transport", "_waits", "frames", "gone",
        "handshake", "live",
    )  # fmt: skip

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._rest = b""
        self._is_open = False
        self._waits = True
        self.handshake = b""
        self.frames = 0
        loop = asyncio.get_running_loop()
        self.live: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour only
        self._transport.write(self.handshake)

    def connection_lost(self, _error: Exception | None) -> None:
        _wake(self.gone)
        self._crowd.lost += 1
        if not self.live.done():
            self.live.set_exception(ConnectionResetError("closed before it was live"))

    def leave(self) -> None:
        self._transport.abort()

    def take_over(self) -> None:
        """From now on `read` reads, and not the event loop."""
        self._descriptor = self._transport.get_extra_info("socket").fileno()
        self._transport.pause_reading()

    def read(self) -> None:
        """Take what has come."""
        if self._transport.is_closing():
            return
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.data_received(data)
        else:
            self._transport.resume_reading()  # the event loop finds the same, and closes

    def data_received(self, data: bytes) -> None:
        if not (self._rest or self._waits) and data[:2] == _MEDIUM_TEXT:
            end = 4 + (data[2] << 8) + data[3] if len(data) > 3 else 0
            if end == len(data):  # one whole frame, as nearly always
                self.frames += 1
                self._crowd.frames += 1
                self._noted(data, end)
                return
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not self._is_open:
            data = self._upgrade(data)
        end = len(data)
        at = texts = 0
        while end - at >= 2:
            length = data[at + 1]
            head = at + 2
            if length >= 126:
                size = 2 if length == 126 else 8
                if end - head < size:
                    break
                length = int.from_bytes(data[head : head + size], "big")
                head += size
            following = head + length
            if following > end:
                break
            if data[at] == 0x81:
                texts += 1
                if self._waits or length == 1:
                    self._greeted(data[head:following])
            else:
                self._control(data[at] & 15, data[head:following])
            at = following
        self.frames += texts
        self._crowd.frames += texts
        if at:
            self._noted(data, at)
        if at < end:
            self._rest = data[at:]

    def _noted(self, data: bytes, end: int) -> None:
        """`data[:end]` are whole frames."""

    def _upgrade(self, data: bytes) -> bytes:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not blank:
            self._rest = data
            return b""
        if not head.startswith(b"HTTP/1.1 101"):
            self._transport.abort()
            return b""
        self._is_open = True
        if self._crowd.endpoint.greeting == "upgrade":
            self._is_live()
        return rest

    def _is_live(self) -> None:
        self._waits = False
        if not self.live.done():
            self.live.set_result(None)

    def _greeted(self, payload: bytes) -> None:
        if self._crowd.endpoint.greeting == "frame":
            self._is_live()
        elif payload[:1] == b"0":  # Engine.IO is open: join the default namespace
            self._send(_TEXT, b"40")
        elif payload == b"2":  # Engine.IO's ping
            self._send(_TEXT, b"3")
        elif payload[:2] == b"40":
            self._is_live()

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == _PING:
            self._send(10, payload)
        elif kind == _CLOSE:
            self._transport.close()

    def _send(self, kind: int, payload: bytes) -> None:
        self._transport.write(bytes((0x80 | kind, 0x80 | len(payload))) + _NO_MASK + payload)


class NotingScreen(Screen):
    """A socket that also knows which version it had when."""

    __slots__ = ("times", "version", "versions")

    def __init__(self, crowd: Crowd) -> None:
        super().__init__(crowd)
        self.version = -1
        self.versions = array("q")
        self.times = array("d")

    def _noted(self, data: bytes, end: int) -> None:
        # Versions rise, so the last frame of a read tells all.
        marker = self._crowd.endpoint.marker
        at = data.rfind(marker, 0, end)
        if at < 0:
            return
        at += len(marker)
        stop = at
        while data[stop] in b" 0123456789":
            stop += 1
        version = int(data[at:stop])
        if version > self.version:
            self.version = version
            self.versions.append(version)
            self.times.append(perf_counter())
            self._crowd.wake_waiters()

    def had(self, version: int) -> float | None:
        """When it first had this version or a later one; None: never."""
        at = bisect_left(self.versions, version)
        return self.times[at] if at < len(self.times) else None


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
