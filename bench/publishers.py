"""Ways to bring a new tally to a server under test: through its channel layer, by HTTP,
or as a vote. Each is asked for version after version."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from bench.web_load import WebLoad
from tests.e2e.harness import INHERITED, ROOT


class Publisher(Protocol):
    async def publish(self, version: int) -> None:
        """Send the tally of this version on its way."""


@asynccontextmanager
async def through_layer(
    module: str, poll_id: str, env: Mapping[str, str]
) -> AsyncIterator[Publisher]:
    """The server's own channel layer and message, from a process of its own on our core.

    Args:
        module: what to run with `-m`; it reads a version a line and calls `group_send`.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, poll_id),
        stdin=asyncio.subprocess.PIPE,
        env=inherited | dict(env),
        cwd=ROOT,
    )
    assert process.stdin is not None
    pipe = process.stdin

    class Layer:
        async def publish(self, version: int) -> None:
            pipe.write(b"%d\n" % version)

    try:
        yield Layer()
    finally:
        pipe.close()
        await process.wait()


class HttpPublisher:
    """POSTs a payload whose version is filled in; as many at once as there are connections."""

    def __init__(self, load: WebLoad, path: str, payload: bytes) -> None:
        self._load = load
        self._path = path
        self._payload = payload

    async def publish(self, version: int) -> None:
        body = self._payload.replace(b"VERSION", b"%d" % version)
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await self._load.send(head.encode() + body)


class VotePublisher:
    """One vote a version; the server numbers them itself."""

    def __init__(self, load: WebLoad, requests: Iterator[bytes]) -> None:
        self._load = load
        self._requests = requests

    async def publish(self, version: int) -> None:
        await self._load.send(next(self._requests))
