"""Clients that mean harm, one function a kind: each plays one visit, from connecting to its end.

They are paced, so that a thousand of them leave the machine under test to the server: what one
connection can do is the question, not how fast this process is.
"""

import asyncio
import random
import secrets
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson

from tests.chaos.broken import broken_frames, broken_handshake
from tests.chaos.wire import OP_BINARY, OP_PING, OP_PONG, frame_bytes, request_bytes, upgrade_bytes

_VISIT_SECS = 20.0
_READ_SECS = 5.0
_RECEIVE_BYTES = 4096
_CHUNK = b"x" * 65_536


@dataclass(frozen=True)
class Target:
    """What the hostile know: an open poll, one that takes voter codes, and an account's name."""

    port: int
    poll: str
    code_poll: str
    account: str


@dataclass
class Enemy:
    """One hostile client: where it comes from, its chance, and what it was answered."""

    target: Target
    source: str
    chance: random.Random
    seen: Counter[str]
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """A connection whose buffers are small, so that not to read is felt at once."""
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        plain.setblocking(False)
        plain.bind((self.source, 0))
        try:
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self.target.port))
            self.reader, self.writer = await asyncio.open_connection(sock=plain, limit=2048)
        except BaseException:
            plain.close()
            raise

    def leave(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None

    def send(self, data: bytes) -> None:
        assert self.writer is not None
        if self.writer.transport.is_closing():
            raise ConnectionResetError
        self.writer.write(data)

    async def pour(self, data: bytes) -> None:
        """Send, and wait until most of it has left."""
        assert self.writer is not None
        self.send(data)
        await self.writer.drain()

    async def status(self, kind: str) -> int:
        """The status of the next response, noted; 0 where none comes."""
        assert self.reader is not None
        outcome = "unanswered"
        try:
            async with asyncio.timeout(_READ_SECS):
                head = await self.reader.readuntil(b"\r\n\r\n")
                lines = head.split(b"\r\n")
                number = int(lines[0][9:12])
                self.seen[f"{kind} {number}"] += 1
                for line in lines[1:]:
                    if line.lower().startswith(b"content-length:"):
                        await self.reader.readexactly(int(line.partition(b":")[2]))
                return number
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError, ConnectionError):
            outcome = "dropped"
        except TimeoutError:
            pass
        self.seen[f"{kind} {outcome}"] += 1
        return 0

    async def upgrade(self, kind: str, headers: dict[str, str] | None = None) -> bool:
        self.send(upgrade_bytes(f"/ws/polls/{self.target.poll}/", headers))
        return await self.status(kind) == 101

    async def ask(
        self, kind: str, method: str, path: str, body: object = None, **headers: str
    ) -> int:
        content = b"" if body is None else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.send(request_bytes(method, path, content, named))
        return await self.status(kind)

    @property
    def votes_path(self) -> str:
        return f"/api/v1/polls/{self.target.poll}/votes/"

    @property
    def code_votes_path(self) -> str:
        return f"/api/v1/polls/{self.target.code_poll}/votes/"


# Slow


async def slow_headers(enemy: Enemy) -> None:
    enemy.send(b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " % enemy.votes_path.encode())
    while True:
        await asyncio.sleep(1)
        enemy.send(b"s")


async def slow_body(enemy: Enemy) -> None:
    enemy.send(
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 4000\r\n\r\n{" % enemy.votes_path.encode()
    )
    while True:
        await asyncio.sleep(1)
        enemy.send(b" ")


async def reading_nothing(enemy: Enemy) -> None:
    """Ask for large answers, and take none."""
    request = request_bytes("GET", "/api/schema/")
    for _ in range(20):
        enemy.send(request)
        await asyncio.sleep(1)


# Half-open


async def silent(enemy: Enemy) -> None:
    await asyncio.sleep(_VISIT_SECS)


async def half_upgrade(enemy: Enemy) -> None:
    whole = upgrade_bytes(f"/ws/polls/{enemy.target.poll}/")
    enemy.send(whole[: enemy.chance.randrange(1, len(whole))])
    await asyncio.sleep(_VISIT_SECS)


# Pinging, flooding


async def pinging(enemy: Enemy) -> None:
    """Pings without end, and no pong is read."""
    if await enemy.upgrade("pinging"):
        pings = frame_bytes(b"p" * 125, OP_PING) * 60
        while True:
            await enemy.pour(pings)
            await asyncio.sleep(0.2)


async def flooding_frames(enemy: Enemy) -> None:
    if await enemy.upgrade("flooding"):
        ping = frame_bytes(b'{"type":"ping"}') * 20
        while True:
            await enemy.pour(ping)
            await asyncio.sleep(0.1)


async def flooding_requests(enemy: Enemy) -> None:
    voter = secrets.token_hex(8)
    for number in range(200):
        if enemy.chance.random() < 0.5:
            path = f"/api/v1/polls/{enemy.target.poll}/results/"
            status = await enemy.ask("flooding", "GET", path)
        else:
            # One voter's, so that what is counted stays what the honest voted.
            status = await enemy.ask(
                "flooding", "POST", enemy.code_votes_path, {"choices": [1]},
                Idempotency_Key=f"{voter}-{number}",
            )  # fmt: skip
        if status == 0:
            return
        await asyncio.sleep(0.1)


# Guessing


async def guessing_codes(enemy: Enemy) -> None:
    for _ in range(50):
        code = secrets.token_hex(4).upper()
        body = {"choices": [1], "voter_code": code}
        if enemy.chance.random() < 0.5:
            status = await enemy.ask("code", "POST", enemy.code_votes_path, body)
        else:
            path = f"{enemy.code_votes_path}me/"
            status = await enemy.ask("code", "GET", path, Voter_Code=code)
        if status == 0:
            return
        await asyncio.sleep(0.2)


async def guessing_passwords(enemy: Enemy) -> None:
    for _ in range(20):
        body = {"username": enemy.target.account, "password": secrets.token_hex(6)}
        path = enemy.chance.choice(
            ["/api/v1/accounts/token/", "/api/v1/accounts/token", "/api/v1/accounts"]
        )
        if await enemy.ask("password", "POST", path, body) == 0:
            return
        await asyncio.sleep(1)


async def guessing_keys(enemy: Enemy) -> None:
    for _ in range(50):
        key = secrets.token_urlsafe(24)
        path = f"/api/v1/polls/{enemy.target.poll}/close/"
        if await enemy.ask("key", "POST", path, {}, Authorization=f"Bearer {key}") == 0:
            return
        path = f"/api/v1/polls/{secrets.token_hex(3).upper()}/"
        if await enemy.ask("join code", "GET", path) == 0:
            return
        await asyncio.sleep(0.2)


async def guessing_frames(enemy: Enemy) -> None:
    if await enemy.upgrade("identify"):
        while True:
            frame = {"type": "identify", "voter_code": secrets.token_hex(4)}
            await enemy.pour(frame_bytes(orjson.dumps(frame)))
            await asyncio.sleep(0.5)


# Huge


async def huge_headers(enemy: Enemy) -> None:
    enemy.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    for _ in range(100):
        await enemy.pour(b"x-y: z\r\n" * 3000)
    enemy.send(b"\r\n")
    await enemy.status("headers")


async def huge_path(enemy: Enemy) -> None:
    await enemy.pour(b"GET /")
    for _ in range(128):
        await enemy.pour(_CHUNK)
    enemy.send(b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await enemy.status("path")


async def huge_body(enemy: Enemy) -> None:
    method = enemy.chance.choice(["GET", "HEAD", "OPTIONS", "POST", "PATCH"])
    enemy.send(
        f"{method} / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    for _ in range(128):
        await enemy.pour(b"10000\r\n%b\r\n" % _CHUNK)
    enemy.send(b"0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
    await enemy.status("body")


async def huge_upgrade(enemy: Enemy) -> None:
    if await enemy.upgrade("upgrade", {f"X-{n}": "y" * 1000 for n in range(40)}):
        enemy.send(struct.pack("!BBQ4x", 0x81, 0xFF, 1 << 40))
        for _ in range(64):
            await enemy.pour(_CHUNK)


# Malformed


async def malformed_handshakes(enemy: Enemy) -> None:
    enemy.send(broken_handshake(enemy.chance, f"/ws/polls/{enemy.target.poll}/"))
    await enemy.status("handshake")


async def malformed_frames(enemy: Enemy) -> None:
    if await enemy.upgrade("frames"):
        for _ in range(5):
            await enemy.pour(broken_frames(enemy.chance))
            await enemy.pour(frame_bytes(b"\xff\xfe", enemy.chance.choice([1, OP_BINARY, OP_PONG])))
            await asyncio.sleep(0.1)


async def malformed_requests(enemy: Enemy) -> None:
    noise = enemy.chance.randbytes(enemy.chance.choice([1, 20, 300]))
    enemy.send(
        enemy.chance.choice(
            [
                noise,
                b"GET / HTTP/1.1\r\nHost: " + noise + b"\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"GET /%00%ff%2e%2e/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                request_bytes("POST", enemy.votes_path, noise),
                request_bytes("POST", enemy.votes_path, b"[" * 9000),
            ]
        )
    )
    await enemy.status("request")


Kind = Callable[[Enemy], Awaitable[None]]

# How many of a hundred connections play which kinds.
SHARES: dict[str, tuple[int, tuple[Kind, ...]]] = {
    "slow": (25, (slow_headers, slow_body, reading_nothing)),
    "half-open": (25, (silent, half_upgrade)),
    "pinging": (10, (pinging,)),
    "flooding": (10, (flooding_frames, flooding_requests)),
    "guessing": (14, (guessing_codes, guessing_passwords, guessing_keys, guessing_frames)),
    "huge": (4, (huge_headers, huge_path, huge_body, huge_upgrade)),
    "malformed": (12, (malformed_handshakes, malformed_frames, malformed_requests)),
}


async def play(kind: Kind, enemy: Enemy) -> None:
    """One visit; its end, whichever, is noted."""
    try:
        await enemy.connect()
        async with asyncio.timeout(_VISIT_SECS * enemy.chance.uniform(0.7, 1.3)):
            await kind(enemy)
    except TimeoutError:
        enemy.seen[f"{kind.__name__} went on to the end"] += 1
    except (OSError, asyncio.IncompleteReadError, ValueError) as failure:
        ended = "was sent away" if isinstance(failure, ConnectionError) else type(failure).__name__
        enemy.seen[f"{kind.__name__} {ended}"] += 1
    finally:
        enemy.leave()
