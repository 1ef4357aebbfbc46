"""HTTP/1.1 load: kept-alive connections that send ready-made requests and read answers.

Nothing is decoded but the status, the body's length and, where asked for, one number.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

SETTLE_SECS = 60


@dataclass
class Answers:
    """What came back in one measurement. Times are `perf_counter`'s, for uvloop's own
    clock counts whole milliseconds."""

    started_at: float = 0.0
    ended_at: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    sent_at: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: int = 0

    @property
    def good(self) -> int:
        return sum(count for status, count in self.statuses.items() if 200 <= status < 400)

    @property
    def bad(self) -> int:
        return sum(self.statuses.values()) - self.good + self.broken

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at

    @property
    def per_second(self) -> float:
        return self.good / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


class WebLoad:
    """Connections to one or more servers. Lives on one event loop.

    Args:
        marker: what stands before the number that is wanted of each answer, or nothing.
    """

    def __init__(self, ports: Sequence[int], connections: int, marker: bytes = b"") -> None:
        self.answers = Answers()
        self.marker = marker
        self.is_over = True
        self._is_flood = True
        self.requests: Iterator[bytes] = iter(())
        self._ports = ports
        self._number = connections
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._all: list[Connection] = []
        self._working = 0
        self._freed: asyncio.Future[None] | None = None
        self._finished: asyncio.Future[None] = self._loop.create_future()

    async def open(self) -> None:
        for index in range(self._number):
            port = self._ports[index % len(self._ports)]
            _, connection = await self._loop.create_connection(
                lambda: Connection(self), "127.0.0.1", port
            )
            self._all.append(connection)
        self._idle = list(self._all)

    async def flood(self, requests: Iterator[bytes], seconds: float) -> Answers:
        """Each connection sends its next request as soon as it has its answer."""
        self._is_flood = True
        self._begin(requests)
        timer = self._loop.call_later(seconds, self._end)
        working, self._idle = self._idle, []
        for connection in working:
            self.send_next(connection)
        await self._settle(seconds)
        timer.cancel()
        return self.answers

    async def steady(self, requests: Iterator[bytes], per_second: float, seconds: float) -> Answers:
        """Requests at a steady rate, however slow the responses are; late ones go at once."""
        self.begin()
        start = perf_counter()
        for sent in range(int(per_second * seconds)):
            wait = start + sent / per_second - perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            await self.send(next(requests))
        self._end()
        await self._settle()
        return self.answers

    def begin(self) -> None:
        """From here on requests come through `send`."""
        self._is_flood = False
        self._begin(iter(()))

    async def send(self, request: bytes) -> None:
        """Send on an idle connection, as soon as there is one; its answer is not awaited."""
        while not self._idle:
            self._freed = self._loop.create_future()
            await self._freed
        self._working += 1
        self._idle.pop().ask(request)

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    def _begin(self, requests: Iterator[bytes]) -> None:
        self.requests = requests
        self.is_over = False
        self.answers = Answers(started_at=perf_counter())
        self._finished = self._loop.create_future()

    def _end(self) -> None:
        self.is_over = True
        if not self._working and not self._finished.done():
            self._finished.set_result(None)

    async def _settle(self, seconds: float = 0) -> None:
        async with asyncio.timeout(seconds + SETTLE_SECS):
            await self._finished

    # Called by the connections

    def send_next(self, connection: "Connection") -> None:
        request = next(self.requests, None)
        if request is None:
            self.rest(connection)
            self._end()
            return
        self._working += 1
        connection.ask(request)

    def answered(self, connection: "Connection", status: int, number: int) -> None:
        self._working -= 1
        answers = self.answers
        answers.ended_at = perf_counter()
        answers.statuses[status] = answers.statuses.get(status, 0) + 1
        answers.sent_at.append(connection.sent_at)
        answers.took.append(answers.ended_at - connection.sent_at)
        if self.marker:
            answers.numbers.append(number)
        self._go_on(connection)

    def broke(self, connection: "Connection") -> None:
        self._working -= 1
        self.answers.broken += 1
        if self.is_over and not self._working and not self._finished.done():
            self._finished.set_result(None)

    def forget(self, connection: "Connection") -> None:
        """One that rested was closed by the server."""
        if connection in self._idle:
            self._idle.remove(connection)

    def rest(self, connection: "Connection") -> None:
        self._idle.append(connection)
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

    def _go_on(self, connection: "Connection") -> None:
        if self.is_over:
            self.rest(connection)
            self._end()
        elif self._is_flood:
            self.send_next(connection)
        else:
            self.rest(connection)


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    __slots__ = ("_load", "_rest", "_transport", "is_busy", "sent_at")

    def __init__(self, load: WebLoad) -> None:
        self._load = load
        self._rest = b""
        self.is_busy = False
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour only

    def connection_lost(self, _error: Exception | None) -> None:
        if self.is_busy:
            self.is_busy = False
            self._load.broke(self)
        else:
            self._load.forget(self)

    def close(self) -> None:
        self._transport.abort()

    def ask(self, request: bytes) -> None:
        self.is_busy = True
        self.sent_at = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        head = data.find(b"\r\n\r\n")
        if head < 0 or not is_whole(data, head):
            self._rest = data
            return
        self._rest = b""
        self.is_busy = False
        number = -1
        marker = self._load.marker
        if marker and (at := data.find(marker, head)) >= 0:
            at += len(marker)
            stop = at
            while data[stop] in b" 0123456789":
                stop += 1
            number = int(data[at:stop])
        self._load.answered(self, int(data[9:12]), number)


def is_whole(data: bytes, head: int) -> bool:
    """Whether the answer whose head ends at `head` is all there."""
    for name in (b"content-length:", b"Content-Length:"):
        at = data.find(name, 0, head)
        if at >= 0:
            stop = data.find(b"\r\n", at)
            return len(data) - head - 4 >= int(data[at + len(name) : stop])
    if data[9:12] == b"304":
        return True
    return data.endswith(b"0\r\n\r\n")  # chunked
