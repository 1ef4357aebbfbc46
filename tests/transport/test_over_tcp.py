"""The same over real TCP, with real clocks and the kernel's buffers: attacks on one process, and
what it holds when they are over."""

import asyncio
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.chaos.crowd import until
from tests.chaos.wire import OP_PING, WatchSocket, frame_bytes, request_bytes
from tests.e2e.conftest import embedded_template
from tests.e2e.harness import WebProcess, site_env
from tests.poll_api import PollApi

__all__ = ["embedded_template"]

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("transport over TCP")]

MEMORY_MIB = 30
ARGUMENTS = (
    *("--loop", "uvloop", "--http", "asgi:BoundedHTTP", "--ws", "asgi:BoundedSocket"),
    *("--ws-ping-interval", "0.5", "--ws-ping-timeout", "0.5"),
)
ENV = {"REQUEST_SECONDS": "1", "RESPONSE_SECONDS": "1"}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, embedded_template: Path) -> Iterator[WebProcess]:
    """A process with short times."""
    folder = tmp_path_factory.mktemp("transport")
    shutil.copy(embedded_template, folder / "db.sqlite3")
    env = site_env(database_url=f"sqlite:///{folder}/db.sqlite3", redis_url=None) | ENV
    process = WebProcess(
        log=folder / "web.log", env=env, arguments=ARGUMENTS, ready_path="/healthz"
    )
    process.launch().wait_ready()
    try:
        yield process
    finally:
        process.stop()


def figure(web: WebProcess, name: str) -> float:
    with httpx.Client(base_url=web.url, trust_env=False, timeout=10) as http:
        found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", http.get("/metrics").text)
    return float(found[1]) if found else 0.0


async def all_gone(web: WebProcess) -> bool:
    """Whether no connection is left but the one that asks."""
    for _ in range(200):
        if await asyncio.to_thread(figure, web, "livepoll_connections") <= 1:
            return True
        await until(lambda: False, 0.05)
    return False


def memory_mib(web: WebProcess) -> float:
    return float(psutil.Process(web.pid).memory_info().rss) / 2**20


async def answer_to(web: WebProcess, *pieces: bytes) -> bytes:
    """All that comes until the server closes; pieces are sent as fast as they are taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    try:
        async with asyncio.timeout(20):
            for piece in pieces:
                writer.write(piece)
            return await reader.read()
    finally:
        writer.transport.abort()


def test_300_000_headers_stop_nobody(web: WebProcess) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    start = time.monotonic()
    answer = asyncio.run(answer_to(web, head + b"x: y\r\n" * 300_000 + b"\r\n"))
    assert b" 431 " in answer[:20]
    assert time.monotonic() - start < 2


def test_a_slow_request_gets_408(web: WebProcess) -> None:
    assert b" 408 " in asyncio.run(answer_to(web, b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"))[:20]
    assert asyncio.run(answer_to(web)) == b""


@pytest.mark.parametrize("path", ["/ws/polls/AAAAAA/", "/nowhere/"])
def test_an_upgrade_with_long_headers_does_not_hang(web: WebProcess, path: str) -> None:
    request = request_bytes("GET", path, headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Cookie": "a=" + "b" * 9_000,
    })  # fmt: skip
    assert b" 431 " in asyncio.run(answer_to(web, request))[:20]


def test_who_never_reads_is_let_go(web: WebProcess) -> None:
    async def attack() -> None:
        request = request_bytes("GET", "/api/docs/errors/") * 30
        readers = []
        for _ in range(20):
            # A reader that is not read stops its transport after two bytes.
            _, writer = await asyncio.open_connection("127.0.0.1", web.port, limit=1)
            writer.write(request * 2)
            readers.append(writer)
        assert await all_gone(web)
        for writer in readers:
            writer.transport.abort()

    before = memory_mib(web)
    asyncio.run(attack())
    assert memory_mib(web) - before < MEMORY_MIB


def test_who_pings_and_never_reads_holds_no_pongs(web: WebProcess) -> None:
    """RATE_LIMITS is off here: what holds is a bound."""

    async def attack() -> None:
        async with httpx.AsyncClient(base_url=web.url, trust_env=False) as http:
            poll = await PollApi(http).create()
        path = f"/ws/polls/{poll['id']}/"
        sockets = [WatchSocket(path, receive_buffer=4096) for _ in range(5)]
        for socket in sockets:
            await socket.connect(web.port)
            assert await until(socket.opened.is_set, 5)
            socket.stop_reading()
        pings = frame_bytes(b"x" * 125, OP_PING) * 1_000
        for _ in range(30):
            for socket in sockets:
                socket.send(pings)
            await asyncio.sleep(0)
        assert await all_gone(web)
        for socket in sockets:
            socket.close()

    before = memory_mib(web)
    asyncio.run(attack())
    assert memory_mib(web) - before < MEMORY_MIB


def test_the_log_has_no_traceback(web: WebProcess) -> None:
    assert "Traceback" not in Path(web.log).read_text()
