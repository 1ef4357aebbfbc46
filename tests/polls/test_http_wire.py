"""A response in one write is what the server's own `send` would have sent, byte for byte."""

import asyncio
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from livepoll.request_guard import guarded
from polls.http import request, response
from polls.http.request import RawRequest
from polls.http.response import respond

DATE = (b"date", b"Fri, 20 Nov 2026 12:00:00 GMT")
BODY = b'{"choices":[1]}'
POST = b"POST /votes HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n%b\r\n"
REQUESTS = {
    "get": [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"],
    "head": [b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n"],
    "nothing new": [b"GET /304 HTTP/1.1\r\nhost: a\r\n\r\n"],
    "post": [POST % (len(BODY), b"") + BODY],
    "in two pieces": [POST % (len(BODY), b"") + BODY[:5], BODY[5:]],
    "in chunks": [
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\n",
        b"abcde\r\n0\r\n\r\n",
    ],
    "asks first": [POST % (len(BODY), b"expect: 100-continue\r\n"), BODY],
    "closes": [POST % (len(BODY), b"connection: close\r\n") + BODY],
    "of old": [b"GET / HTTP/1.0\r\nhost: a\r\n\r\n"],
    "pipelined": [(POST % (len(BODY), b"") + BODY) * 3],
    "one after the other": [POST % (len(BODY), b"") + BODY] * 3,
    "too long": [POST % (99, b"") + b"x" * 99],
}


class Transport:
    """What a connection writes to, kept."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    resume_reading = pause_reading

    def get_extra_info(self, _name: str) -> None: ...


async def application(scope: Any, receive: Any, send: Any) -> None:
    request = RawRequest(scope)
    try:
        body = await request.body(receive, limit=50)
    except Exception:
        body = b"too long"
    await asyncio.sleep(0)  # as a vote waits for its commit
    status = 304 if scope["path"] == "/304" else 200
    await respond(send, status, b"" if status == 304 else b"got " + body, [(b"etag", b'"1"')])


def connected(app: Any = application) -> tuple[HttpToolsProtocol, Transport]:
    config = Config(app, access_log=False)
    config.load()
    state = ServerState()
    state.default_headers = [DATE]
    protocol = HttpToolsProtocol(config, state, {}, asyncio.get_running_loop())
    transport = Transport()
    protocol.connection_made(cast(Any, transport))
    return protocol, transport


async def answers(pieces: list[bytes]) -> tuple[Transport, HttpToolsProtocol]:
    protocol, transport = connected()
    for piece in pieces:
        protocol.data_received(piece)
        for _ in range(30):
            await asyncio.sleep(0)
    assert not protocol.tasks
    if protocol.timeout_keep_alive_task is not None:
        protocol.timeout_keep_alive_task.cancel()
    return transport, protocol


@pytest.mark.parametrize("case", REQUESTS)
async def test_both_ways_answer_the_same(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short, protocol = await answers(REQUESTS[case])
    with monkeypatch.context() as patched:
        for module in (request, response):  # no server's cycle is one that they know
            patched.setattr(module, "RequestResponseCycle", object())
        long, as_ever = await answers(REQUESTS[case])
    assert b"".join(short.writes) == b"".join(long.writes)
    assert short.closed == long.closed
    assert protocol.server_state.total_requests == as_ever.server_state.total_requests
    for one, other in ((protocol, as_ever), (protocol.cycle, as_ever.cycle)):
        for name in ("response_complete", "response_started", "keep_alive", "disconnected"):
            assert getattr(one, name, None) == getattr(other, name, None), name


async def test_an_answer_is_one_write() -> None:
    transport, _ = await answers(REQUESTS["post"])
    assert len(transport.writes) == 1


async def test_answers_of_one_turn_are_written_when_it_ends() -> None:
    order: list[str] = []

    async def answer(number: int, cycle: Any) -> None:
        order.append(f"made {number}")
        await respond(cycle.send, 200, b"", [])

    cycles = []
    for number in range(2):
        protocol, transport = connected()
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        for task in protocol.tasks:
            task.cancel()
        cast(Any, transport).write = lambda _, number=number: order.append(f"written {number}")
        cycles.append((number, protocol.cycle))
    await asyncio.gather(*(answer(number, cycle) for number, cycle in cycles))
    assert order == ["made 0", "made 1", "written 0", "written 1"]


async def test_who_is_cancelled_meanwhile_takes_nobody_along() -> None:
    protocol, transport = connected()
    protocol.data_received(REQUESTS["get"][0])
    for task in protocol.tasks:
        task.cancel()
    answering = [
        asyncio.create_task(respond(cast(Any, protocol.cycle).send, 200, b"", [])) for _ in "ab"
    ]
    await asyncio.sleep(0)
    answering[0].cancel()
    await answering[1]
    assert len(transport.writes) == 1


async def test_requests_that_arrive_during_that_turn_are_answered_in_order() -> None:
    waits = {"/1": 0, "/2": 5, "/3": 0}

    async def slow_and_fast(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(waits[scope["path"]]):
            await asyncio.sleep(0)
        await respond(send, 200, scope["path"].encode(), [])

    protocol, transport = connected(slow_and_fast)
    request = b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n"
    protocol.data_received(request % 1)
    await asyncio.sleep(0)  # answered, not written yet
    protocol.data_received(request % 2 + request % 3)
    for _ in range(20):
        await asyncio.sleep(0)
    assert [one[-2:] for one in transport.writes] == [b"/1", b"/2", b"/3"]


async def test_a_body_that_was_taken_does_not_come_again() -> None:
    """As Django asks: a second message can only be that the client has gone."""
    seen: list[str] = []

    async def listens_on(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b""
        more = asyncio.create_task(receive())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not more.done()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        seen.append((await more)["type"])

    protocol, _ = connected(guarded(listens_on))
    protocol.data_received(b"DELETE / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    for _ in range(20):
        await asyncio.sleep(0)
    assert seen == ["http.disconnect"]
