"""Bytes at random into the protocol classes: no crash, no hang, bounded memory.

Inputs are valid requests, pipelined requests and sockets, mutated and cut at random.
LIVEPOLL_LONG=1: 120,000 inputs.
"""

import asyncio
import os
import random
import secrets
from collections import Counter
from typing import Any

import psutil
import pytest

from livepoll.request_guard import guarded_socket
from tests.chaos.broken import broken_frames, broken_handshake
from tests.chaos.wire import upgrade_bytes
from tests.sizes import sized
from tests.transport.connection import Wire
from tests.transport.test_http_bounds import CHUNKED, GET, POST, VALID
from tests.transport.test_socket_bounds import Screen

INPUTS = sized(short=1_000, long=120_000)
MEMORY_MIB = 20
FUTURE_SECONDS = 100.0
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\xff", b"content-length: 5\r\n",
    b"content-length: 99999999\r\n", b"transfer-encoding: chunked\r\n", b"expect: 100-continue\r\n",
    b"connection: close\r\n", b"connection: upgrade\r\nupgrade: websocket\r\n", b"host: a\r\n",
    b"upgrade: h2c\r\nconnection: upgrade\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"1\r\nx\r\n",
    b"x" * 9_000, b"x: y\r\n" * 120, b"HTTP/1.0", b"HTTP/9.9", b"\r\n\r\n", b"GET / HTTP/1.1\r\n",
]  # fmt: skip
SEEDS = [
    *VALID.values(), VALID["post"] * 3, VALID["chunks"] + VALID["get"],
    POST + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
    POST + CHUNKED + b"4000\r\n" + b"x" * 0x4000 + b"\r\n0\r\n\r\n",
    GET + b"x: " + b"y" * 30_000 + b"\r\n\r\n", (GET + b"\r\n") * 40,
]  # fmt: skip


def memory_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def mutated(chance: random.Random, data: bytes) -> bytes:
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((0, 0, 1, 4, 50)))
        new = chance.choice((b"", chance.choice(TOKENS), chance.randbytes(chance.randrange(1, 9))))
        data = data[:at] + new + data[end:]
    return data


def made_up(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.7:
        return mutated(chance, chance.choice(SEEDS))
    path = "/ws/polls/AAAAAA/"
    if kind < 0.95:
        return upgrade_bytes(path) + broken_frames(chance)
    return broken_handshake(chance, path)


def cut(chance: random.Random, data: bytes) -> list[bytes]:
    """Into reads; now and then byte by byte."""
    if len(data) < 300 and chance.random() < 0.1:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 1, 2, 6))))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


async def play(seed: int, seen: Counter[str]) -> None:
    """One connection from its first byte until the clock has come by twice."""
    chance = random.Random(seed)
    screen = guarded_socket(Screen())
    connection: Wire

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await (screen if scope["type"] == "websocket" else plain)(scope, receive, send)

    connection = Wire(application)
    plain = connection.plain
    handshake_end = 0
    data = made_up(chance)
    if data.startswith(b"GET /ws"):
        handshake_end = data.find(b"\r\n\r\n") + 4
    for piece in (data[:handshake_end], *cut(chance, data[handshake_end:])):
        if piece and not connection.transport.is_closed:
            if chance.random() < 0.1 and connection.transport.protocol is not connection.http:
                connection.transport.protocol.pause_writing()
            connection.transport.protocol.data_received(piece)
            for _ in range(chance.choice((0, 3, 10))):
                await asyncio.sleep(0)
    is_socket = connection.transport.protocol is not connection.http
    for _ in range(10):
        await connection.settle()
        if is_socket or not connection.state.tasks:
            break
    seen[f"{connection.statuses[-1] if connection.statuses else 'nothing'}"] += 1
    await connection.after(FUTURE_SECONDS)
    await connection.after(2 * FUTURE_SECONDS)
    is_idle = bool(connection.http.cycle and connection.http.cycle.response_complete)
    assert connection.transport.is_closed or is_socket or is_idle, data
    await connection.end()
    assert connection.transport.is_closed
    assert len(connection.connections) == 0, data


@pytest.mark.timeout(3600)
async def test_no_bytes_crash_hang_or_fill_a_connection(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.RATE_LIMITS = True
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    seen: Counter[str] = Counter()
    caplog.set_level("CRITICAL", logger="livepoll.security")
    for number in range(INPUTS // 10):  # first, what is allocated once
        await play(seed - 1 - number, seen)
    seen.clear()
    before = memory_mib()
    for number in range(INPUTS):
        try:
            async with asyncio.timeout(10):
                await play(seed + number, seen)
        except Exception as error:
            error.add_note(f"CHAOS_SEED={seed + number}")
            raise
    after = memory_mib()
    print(f"seed {seed}: {INPUTS} inputs, {seen}; memory {before:.0f}, then {after:.0f} MiB")
    assert [record for record in caplog.records if record.levelno >= 40] == []
    assert not set(seen) & {"500"}
    assert after - before < MEMORY_MIB
