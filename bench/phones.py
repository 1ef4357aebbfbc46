"""Phones that scan a code at the same moment: page, files, socket, vote.

Each has connections of its own: one for the page and what it loads, one for its socket, which
stays, and one for its vote. All come from one address, as behind a hall's Wi-Fi.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast
from urllib.parse import urljoin

import httpx

from bench.crowd import Crowd, Endpoint, Screen
from bench.web_load import is_whole

# What a browser loads for a page, in the order of the page.
_LOADED = re.compile(
    r'<link rel="(?:stylesheet|icon)"[^>]* href="([^"]+)"'
    r'|<link rel="preload"[^>]* href="([^"]+)"|<script[^>]* src="([^"]+)"'
)
_NO_SCRIPT = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)
_ENCODINGS = "Accept-Encoding: gzip, br\r\n"


@dataclass
class Arrival:
    """What came of it. Times in seconds since the first phone began.

    Args:
        statuses: of all answers; 0: the connection was refused or broke.
        voted_at: of each phone that has voted.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    voted_at: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(number for status, number in self.statuses.items() if not 200 <= status < 300)


def page_requests(api: httpx.Client, path: str) -> list[bytes]:
    """What a phone asks for that opens this page: the page, then all that it loads."""
    page = api.get(path)
    page.raise_for_status()
    found = ["".join(names) for names in _LOADED.findall(_NO_SCRIPT.sub("", page.text))]
    paths = dict.fromkeys(urljoin(path, name.replace("&amp;", "&")) for name in found)
    return [
        f"GET {one} HTTP/1.1\r\nHost: 127.0.0.1\r\n{_ENCODINGS}\r\n".encode()
        for one in (path, *paths)
    ]


class _Connection(asyncio.Protocol):
    """One request after the other."""

    __slots__ = ("_answer", "_rest", "transport")

    def __init__(self) -> None:
        self._rest = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour only

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before it answered"))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        head = data.find(b"\r\n\r\n")
        if head < 0 or not is_whole(data, head):
            self._rest = data
            return
        self._rest = b""
        assert self._answer is not None
        self._answer.set_result(int(data[9:12]))

    async def ask(self, request: bytes) -> int:
        """Send, and wait for the status of the whole answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


async def arrive(
    endpoint: Endpoint, page: Sequence[bytes], votes: Sequence[bytes], crowd: Crowd
) -> Arrival:
    """One phone for each of `votes`, all at once; their sockets stay in the crowd."""
    arrival = Arrival()
    start = perf_counter()

    async def ask_all(requests: Sequence[bytes]) -> int:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", endpoint.port)
        for request in requests:
            status = await connection.ask(request)
            arrival.statuses[status] += 1
        connection.transport.close()
        return status

    async def come(index: int) -> None:
        try:
            await ask_all(page)
            screen = Screen(crowd)
            await crowd.connect(screen, index)
            crowd.screens.append(screen)
            status = await ask_all(votes[index : index + 1])
        except OSError:
            arrival.statuses[0] += 1
        else:
            if status == 201:
                arrival.voted_at.append(perf_counter() - start)

    await asyncio.gather(*(come(index) for index in range(len(votes))))
    return arrival
