"""What the request guard bounds where the server does not: plain Uvicorn, Daphne."""

import time
from typing import Any

import pytest

from livepoll.request_guard import guarded, guarded_socket
from polls.rules.limits import LIMITS

HOST = (b"host", b"localhost")


class Exchange:
    """One request to a guarded application that would answer 200."""

    def __init__(self, method: str = "GET", path: str = "/", headers: Any = ()) -> None:
        self.scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http",
            "headers": [HOST, *headers], "client": ("192.0.2.1", 1),
        }  # fmt: skip
        self.taken = 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        """A body that never ends."""
        self.taken += 16_384
        return {"type": "http.request", "body": b"x" * 16_384, "more_body": True}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def status(self) -> int:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        await guarded(application)(self.scope, self.receive, self.send)
        return int(self.sent[0]["status"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "DELETE"])
async def test_a_body_without_end_is_refused_with_every_method(method: str) -> None:
    exchange = Exchange(method, headers=[(b"transfer-encoding", b"chunked")])
    assert await exchange.status() == 413
    assert exchange.taken <= LIMITS["poll_body_bytes"] + 16_384


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
async def test_a_long_body_is_refused_unread(method: str) -> None:
    exchange = Exchange(method, headers=[(b"content-length", b"100000000")])
    assert await exchange.status() == 413
    assert exchange.taken == 0


async def test_heads_beyond_the_bounds_are_refused_before_they_are_joined() -> None:
    assert await Exchange(headers=[(b"x", b"y")] * 99).status() == 200
    assert await Exchange(path="/" + "x" * 9_000).status() == 414
    assert await Exchange(headers=[(b"x", b"y" * 33_000)]).status() == 431
    start = time.process_time()
    assert await Exchange(headers=[(b"x", b"y")] * 300_000).status() == 431
    assert time.process_time() - start < 0.5


async def test_a_handshake_beyond_the_bounds_is_refused() -> None:
    exchange = Exchange(headers=[(b"x", b"y")] * 200)

    async def never_called(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    await guarded_socket(never_called)(exchange.scope, exchange.receive, exchange.send)
    assert exchange.sent == [{"type": "websocket.close"}]
