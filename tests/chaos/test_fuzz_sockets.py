"""Sockets that say anything but what they should: nothing answers 500, no process dies,
others go on, and memory comes back. Long form: 10,000 idle sockets."""

import asyncio
import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import uvloop

from tests.chaos.broken import broken_frames, broken_handshake
from tests.chaos.crowd import until
from tests.chaos.rig import ServeProcess
from tests.chaos.wire import (
    HttpConnection,
    WatchSocket,
    upgrade_bytes,
)
from tests.e2e.conftest import StartSite
from tests.e2e.harness import ROOT, Server, WebProcess, site_env
from tests.poll_api import Json, PollApi
from tests.sizes import LONG

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

STORIES = 4_500 if LONG else 60  # played twice; seven of ten come to their frames
FRAMES = 20_000 if LONG else 200
FRAMES_MOST = 6  # of a story
IDLE = 10_000 if LONG else 300
HALF_OPEN = 1_000 if LONG else 100
MEMORY_MIB = 40
IDLE_KIB_EACH = 64
TOGETHER = 50


async def send_story(seed: int, web: WebProcess, path: str, seen: Counter[str]) -> None:
    """One client from its first byte to its end."""
    chance = random.Random(seed)
    if chance.random() < 0.3:
        await _send_and_leave(web.port, broken_handshake(chance, path), chance, seen)
        return
    socket = WatchSocket(path)
    await socket.connect(web.port)
    await until(socket.opened.is_set, 10)
    number = chance.randint(1, FRAMES_MOST)
    seen["frames"] += number
    socket.send(broken_frames(chance, number))
    await until(socket.closed.is_set, chance.choice([0.05, 0.2, 1.0]))
    seen[f"closed {socket.close_code}" if socket.closed.is_set() else "left open"] += 1
    socket.close()
    await socket.closed.wait()


async def _send_and_leave(
    port: int, data: bytes, chance: random.Random, seen: Counter[str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(chance.choice([0.05, 0.3])):
            answer = await reader.read(200)
            seen[f"handshake {answer[9:12].decode('latin-1') or 'dropped'}"] += 1
    except TimeoutError:
        seen["handshake waits"] += 1
    except OSError:
        seen["handshake reset"] += 1
    finally:
        writer.transport.abort()


async def fuzz(seed: int, web: WebProcess, poll: Json) -> Counter[str]:
    seen: Counter[str] = Counter()
    at_once = asyncio.Semaphore(TOGETHER)

    async def one(number: int) -> None:
        async with at_once:
            await send_story(seed + number, web, f"/ws/polls/{poll['id']}/", seen)

    await asyncio.gather(*(one(number) for number in range(STORIES)))
    return seen


async def still_serves(web: WebProcess, poll: Json) -> None:
    """A good voter and a good screen notice nothing."""
    texts: list[bytes] = []
    socket = WatchSocket(f"/ws/polls/{poll['id']}/", texts.append)
    await socket.connect(web.port)
    assert await until(lambda: bool(texts), 5)
    async with httpx.AsyncClient(base_url=web.url, trust_env=False, timeout=10) as http:
        await PollApi(http).vote(poll, 1, voter=secrets.token_hex(8))
    assert await until(lambda: b'"results"' in texts[-1] and len(texts) > 1, 5)
    assert not socket.closed.is_set()
    socket.close()
    await socket.closed.wait()


async def make_poll(web: WebProcess) -> Json:
    async with httpx.AsyncClient(base_url=web.url, trust_env=False, timeout=10) as http:
        return await PollApi(http).create()


def memory_mib(web: WebProcess) -> float:
    return float(psutil.Process(web.pid).memory_info().rss) / 2**20


def assert_no_failure(log: Path, *also: str) -> None:
    """None of ours."""
    text = log.read_text()
    failures = ("Exception in ASGI", "never retrieved", "Exception in callback", " 500 ", *also)
    for failure in failures:
        assert failure not in text, text[-3000:]


@pytest.fixture
def serve(embedded_database: str, tmp_path: Path) -> Iterator[WebProcess]:
    """`manage.py serve`, as users run it."""
    env = site_env(database_url=embedded_database)
    web = ServeProcess(root=ROOT, log=tmp_path / "serve.log", env=env)
    try:
        yield web.start()
    finally:
        web.stop()


def test_broken_frames_and_handshakes_leave_no_traceback(serve: WebProcess) -> None:
    fuzz_and_look(serve)
    assert_no_failure(serve.log, "Traceback")


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_broken_frames_and_handshakes_break_nothing(start_site: StartSite, server: Server) -> None:
    web = start_site("embedded", server=server)[0]
    fuzz_and_look(web)
    if server == "uvicorn":  # Daphne logs each client's error with a traceback
        assert_no_failure(web.log)


def fuzz_and_look(web: WebProcess) -> None:
    """Play all stories twice; the server lives, serves and has not grown."""
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))

    async def play() -> tuple[Counter[str], float, float]:
        poll = await make_poll(web)
        seen = await fuzz(seed, web, poll)  # first, what is allocated once
        before = memory_mib(web)
        seen += await fuzz(seed + STORIES, web, poll)
        await still_serves(web, poll)
        return seen, before, memory_mib(web)

    seen, before, after = uvloop.run(play())
    print(
        f"{web.server}, seed {seed}: {2 * STORIES} stories, "
        f"{before:.0f} then {after:.0f} MiB, {seen}"
    )
    assert not any(name.startswith("handshake 5") for name in seen), seen
    assert seen["frames"] >= FRAMES
    assert web.running
    assert after - before < MEMORY_MIB


def test_half_open_handshakes_and_slow_loris_keep_nobody_out(start_site: StartSite) -> None:
    site = start_site("embedded")
    web = site[0]

    async def play() -> None:
        poll = await make_poll(web)
        handshake = upgrade_bytes(f"/ws/polls/{poll['id']}/")
        writers = []
        for number in range(HALF_OPEN):
            _, writer = await asyncio.open_connection("127.0.0.1", web.port)
            writer.write(handshake[: number % len(handshake)])
            writers.append(writer)
        body = b'{"choices": [1]}'
        head = b"POST /api/v1/polls/%b/votes/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" % poll["id"].encode()
        for _ in range(HALF_OPEN):
            _, writer = await asyncio.open_connection("127.0.0.1", web.port)
            writer.write(
                head + b"Content-Type: application/json\r\nContent-Length: 900\r\n\r\n" + body
            )
            writers.append(writer)
        for writer in writers[::7]:
            writer.write(b" ")  # a byte now and then
        await still_serves(web, poll)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)
        await still_serves(web, poll)

    uvloop.run(play())
    assert_no_failure(web.log)


def test_idle_sockets_cost_little_and_give_it_back(start_site: StartSite) -> None:
    """Half goes back to the system at once; a second crowd moves into the rest."""
    site = start_site("embedded")
    web = site[0]

    async def crowd(poll: Json, goal: Callable[[float], float]) -> tuple[float, float]:
        """Memory with a crowd, and when it has gone."""
        sockets = [WatchSocket(f"/ws/polls/{poll['id']}/") for _ in range(IDLE)]
        for first in range(0, IDLE, 100):
            await asyncio.gather(*(one.connect(web.port) for one in sockets[first : first + 100]))
        assert await until(lambda: all(one.opened.is_set() for one in sockets), 60)
        assert not any(one.closed.is_set() for one in sockets)
        await still_serves(web, poll)
        open_ = memory_mib(web)
        for one in sockets:
            one.close()
        await asyncio.gather(*(one.closed.wait() for one in sockets))
        connection = await HttpConnection.open(web.port)

        async def all_gone() -> bool:
            answer = await connection.ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            return b"livepoll_sockets 0.0" in answer.body

        async with asyncio.timeout(30):
            while not await all_gone():  # noqa: ASYNC110 (a server's figure)
                await asyncio.sleep(0.1)
        connection.close()
        await connection.gone()
        await until(lambda: memory_mib(web) < goal(open_), 10)
        return open_, memory_mib(web)

    async def play() -> tuple[float, float, float, float]:
        poll = await make_poll(web)
        await still_serves(web, poll)
        before = memory_mib(web)

        def goal(open_: float) -> float:
            return before + max(MEMORY_MIB, 0.5 * (open_ - before))

        first, after = await crowd(poll, goal)
        assert after < goal(first)
        second, _ = await crowd(poll, goal)
        return before, first, after, second

    before, first, after, second = uvloop.run(play())
    print(f"{IDLE} idle sockets: {before:.0f}, {first:.0f}, then {after:.0f} MiB; ", end="")
    print(f"so many again: {second:.0f} MiB")
    assert (first - before) * 1024 / IDLE < IDLE_KIB_EACH + 20 * 1024 / IDLE
    assert second - before < max(MEMORY_MIB, 1.05 * (first - before) + 5)
    assert_no_failure(web.log)
