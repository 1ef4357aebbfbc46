"""What an HTTP connection may cost before ASGI sees a request, byte by byte."""

import time
from typing import Any

import pytest

from asgi import http_application
from livepoll.rate_limits import RateLimits
from livepoll.request_guard import OVER_LIMIT
from livepoll.transport import http_protocol
from polls import errors, security_events
from polls.http.response import respond_problem
from polls.rules.limits import LIMITS
from polls.security_events import tag_of
from tests.realtime.waiting import eventually
from tests.transport.conftest import MakeWire

READ = 256 * 1024  # as much as the event loop reads at once
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
POST = b"POST / HTTP/1.1\r\nhost: localhost\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
VALID = {
    "get": GET + b"\r\n",
    "post": POST + b"content-length: 5\r\n\r\nhello",
    "chunks": POST + CHUNKED + b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "trailers": POST + CHUNKED + b"5\r\nhello\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n",
    "of old": b"GET / HTTP/1.0\r\n\r\n",
    "blank lines first": b"\r\n\r\n" + GET + b"\r\n",
    "most headers": GET + b"x: y\r\n" * (LIMITS["request_headers"] - 1) + b"\r\n",
}


def endless(start: bytes, filler: bytes, size: int) -> list[bytes]:
    """A request whose end never comes, as it is read."""
    rest = filler * (size // len(filler))
    return [start, *(rest[at : at + READ] for at in range(0, len(rest), READ))]


@pytest.mark.parametrize("case", VALID)
async def test_what_is_valid_passes_in_one_piece_and_byte_by_byte(
    wire: MakeWire, case: str
) -> None:
    whole = await wire().send(VALID[case])
    single = await wire().send(*(VALID[case][n : n + 1] for n in range(len(VALID[case]))))
    assert whole.statuses == [200]
    assert single.out == whole.out
    assert single.seen == whole.seen
    if case in ("post", "chunks", "trailers"):
        assert whole.seen[0][3] == b"hello"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        pytest.param(endless(b"GET /", b"a", 32 << 20), 414, id="32 MB of address"),
        pytest.param([b"GET /?" + b"a" * 9000 + b" HTTP/1.1\r\n"], 414, id="long query"),
        pytest.param(endless(GET, b"x: y\r\n", 50 << 20), 431, id="50 MB of headers"),
        pytest.param(endless(GET + b"x: ", b"y", 50 << 20), 431, id="a header of 50 MB"),
        pytest.param(endless(GET, b"x", 1 << 20), 431, id="a name of 1 MB"),
        pytest.param([GET + b"x: y\r\n" * 100 + b"\r\n"], 431, id="101 headers"),
        pytest.param([GET, b"x: " + b"y" * 33_000 + b"\r\n\r\n"], 431, id="33 KB of headers"),
        pytest.param([(GET + b"x: " + b"y" * 15_000 + b"\r\n")[:16_000],
                      b"a: " + b"z" * 15_000 + b"\r\n" + b"b: " + b"z" * 900,
                      b"c" * 5_000 + b"\r\n\r\n"], 431, id="33 KB in three reads"),
        pytest.param(endless(POST + CHUNKED + b"1;", b"e", 1 << 20), 400, id="a chunk's extension"),
        pytest.param(endless(POST + CHUNKED + b"0\r\nx: ", b"y", 1 << 20), 400, id="a trailer"),
        pytest.param(endless(POST + CHUNKED + b"0\r\n", b"x: y\r\n", 1 << 20), 400, id="trailers"),
    ],
)  # fmt: skip
async def test_a_request_beyond_a_bound_is_refused_as_it_comes(
    wire: MakeWire, pieces: list[bytes], status: int
) -> None:
    connection = wire()
    taken = 0
    for piece in pieces:
        if connection.http._is_over:
            break
        await connection.send(piece)
        taken += len(piece)
    assert connection.statuses == [status]
    assert b"application/problem+json" in connection.out
    assert connection.transport.has_written_eof
    assert taken <= 2 * READ
    assert connection.seen == []


async def test_300_000_repeated_headers_cost_no_time(wire: MakeWire) -> None:
    start = time.process_time()
    connection = await wire().send(GET + b"x: y\r\n" * 300_000 + b"\r\n")
    assert connection.statuses == [431]
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(POST + b"content-length: 5\r\n" + CHUNKED + b"0\r\n\r\n", id="CL and TE"),
        pytest.param(
            POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", id="TE, CL"
        ),
        pytest.param(POST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello", id="CL twice"),
        pytest.param(POST + b"content-length: 5, 5\r\n\r\nhello", id="a list of lengths"),
        pytest.param(POST + b"content-length: +5\r\n\r\nhello", id="a signed length"),
        pytest.param(POST + b"content-length: -5\r\n\r\nhello", id="a negative length"),
        pytest.param(POST + b"content-length: 9" + b"9" * 30 + b"\r\n\r\n", id="a huge length"),
        pytest.param(POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="gzip"),
        pytest.param(
            POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", id="not quite chunked"
        ),
        pytest.param(POST + (CHUNKED[:-2] * 2) + b"\r\n0\r\n\r\n", id="chunked twice"),
        pytest.param(b"POST / HTTP/1.0\r\n" + CHUNKED + b"0\r\n\r\n", id="chunked in HTTP/1.0"),
        pytest.param(GET + b"x: 1\r\n 2\r\n\r\n", id="obs-fold"),
        pytest.param(GET + b"x: 1\x002\r\n\r\n", id="NUL"),
        pytest.param(GET + b"x: 1\r2\r\n\r\n", id="a bare CR"),
        pytest.param(b"GET / HTTP/1.1\nhost: a\n\n", id="bare LF"),
        pytest.param(GET + b"x : 1\r\n\r\n", id="a space before the colon"),
        pytest.param(GET + b": 1\r\n\r\n", id="no name"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(GET + b"host: evil.example\r\n\r\n", id="two Hosts"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/2.0\r\n\r\n", id="HTTP/2.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 preface"),
        pytest.param(
            POST + b"upgrade: foo\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\n{}",
            id="an upgrade with a body",
        ),
        pytest.param(
            POST + b"upgrade: foo\r\nconnection: upgrade\r\n" + CHUNKED + b"0\r\n\r\n",
            id="an upgrade with chunks",
        ),
        pytest.param(
            GET + b"upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\n{}",
            id="a socket with a body",
        ),
        pytest.param(b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", id="CONNECT"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n", id="bytes in the address"),
        pytest.param(b"GET http://localhost HTTP/1.1\r\nhost: a\r\n\r\n", id="no path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
    ],
)
async def test_what_two_servers_could_read_differently_is_refused(
    wire: MakeWire, data: bytes
) -> None:
    connection = await wire().send(data)
    assert connection.statuses == [400]
    assert connection.seen == []
    assert connection.transport.has_written_eof
    single = await wire().send(*(data[n : n + 1] for n in range(len(data))))
    assert single.out == connection.out


@pytest.mark.parametrize("between", [b"", b"\r\n" * 9_000], ids=["at once", "a piece later"])
async def test_what_follows_an_upgrade_to_something_else_is_no_request(
    wire: MakeWire, between: bytes
) -> None:
    """A proxy passes it on as part of the first request, so it would come under its name."""
    upgrade = GET + b"upgrade: foo\r\nconnection: upgrade\r\n\r\n"
    connection = await wire().send(upgrade + between + GET + b"\r\n", GET + b"\r\n")
    assert connection.statuses == [200]
    assert len(connection.seen) == 1
    assert connection.transport.is_closed


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n", b"-1\r\n", b"f" * 17 + b"\r\n", b"1 \r\nx\r\n", b"1\r\nxy"]
)
async def test_a_broken_chunk_ends_the_request(wire: MakeWire, chunk: bytes) -> None:
    connection = await wire().send(POST + CHUNKED, chunk)
    assert connection.statuses == [400]
    assert connection.seen == []


async def test_trailers_become_no_headers_of_this_request_or_the_next(wire: MakeWire) -> None:
    trailers = b"0\r\nx-forwarded-for: 10.0.0.1\r\nhost: evil.example\r\n\r\n"
    connection = await wire().send(POST + CHUNKED + trailers + GET + b"\r\n")
    assert [set(headers) for _, _, headers, _ in connection.seen] == [
        {b"host", b"transfer-encoding"}, {b"host"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "DELETE", "PROPFIND"]
)
@pytest.mark.parametrize("has_length", [True, False])
async def test_bodies_of_every_method_are_bounded(
    wire: MakeWire, method: str, has_length: bool
) -> None:
    size = 100 << 20
    line = b"%b / HTTP/1.1\r\nhost: localhost\r\n" % method.encode()
    if has_length:
        pieces = endless(line + b"content-length: %d\r\n\r\n" % size, b"x", 8 << 20)
    else:
        chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        pieces = [line + CHUNKED, *[chunk * 16] * 32]
    connection = await wire().send(*pieces)
    assert connection.statuses == [413]
    assert connection.seen == []
    assert connection.transport.is_aborted  # it was read on for a while, for the answer's sake


async def test_after_a_refusal_the_client_has_time_to_read_it(wire: MakeWire) -> None:
    connection = await wire().send(GET + b"x : 1\r\n\r\n", b"and on it sends " * 1000)
    assert not connection.transport.is_closed
    assert (await connection.after(5)).transport.is_aborted


# Several requests of one connection


async def test_responses_to_earlier_requests_are_finished_before_the_end(wire: MakeWire) -> None:
    connection = await wire().send(VALID["post"] * 2 + b"nonsense\r\n\r\n")
    assert connection.statuses == [200, 200]
    assert connection.out.endswith(b"got hello")
    assert connection.transport.is_closed


async def test_no_more_requests_wait_behind_one_another_than_the_bound(wire: MakeWire) -> None:
    connection = await wire().send((GET + b"\r\n") * 5_000)
    for _ in range(100):
        await connection.settle()
    assert set(connection.statuses) == {200}
    assert len(connection.seen) == LIMITS["pipelined_requests"] + 1
    assert connection.transport.is_closed


async def test_a_body_at_fault_behind_another_request_is_dropped(wire: MakeWire) -> None:
    connection = await wire().send(VALID["post"] + POST + CHUNKED + b"zz\r\n")
    assert connection.statuses == [200]
    assert [body for *_, body in connection.seen] == [b"hello"]
    assert connection.transport.is_closed


# Beyond a limit


async def over_limit(scope: Any, receive: Any, send: Any) -> None:
    scope[OVER_LIMIT] = True
    await respond_problem(send, errors.RateLimited(retry_after=1), [])


async def test_after_a_429_nothing_is_read_until_its_client_may_try_again(
    wire: MakeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await wire(over_limit).send((GET + b"\r\n") * 5)
    assert connection.statuses == [429]
    assert not connection.transport.is_reading
    monkeypatch.setattr(http_protocol, "HELD_SECONDS", 0.0)
    connection = await wire(over_limit).send((GET + b"\r\n") * 5)
    await eventually(lambda: connection.statuses == [429] * 5)
    assert connection.transport.is_reading


async def test_what_is_wrong_behind_a_held_request_is_not_answered_before_it(
    wire: MakeWire, settings: Any
) -> None:
    for rest in (b"nonsense\r\n\r\n", b"GET"):
        connection = await wire(over_limit).send((GET + b"\r\n") * 2 + rest)
        await connection.after(settings.REQUEST_SECONDS + 1)  # for a 408, which the rest deserves
        assert connection.statuses == [429]
        assert not connection.transport.has_written_eof


async def test_a_held_connection_may_go_and_the_server_may_stop(wire: MakeWire) -> None:
    connection = await wire(over_limit).send(GET + b"\r\n")
    connection.http.shutdown()
    await connection.settle()
    assert connection.transport.is_closed


async def test_a_proxys_connection_is_of_many_clients_and_goes_on(
    wire: MakeWire, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    connection = await wire(over_limit).send((GET + b"\r\n") * 5)
    await connection.settle()
    assert connection.statuses == [429] * 5
    assert connection.transport.is_reading


@pytest.mark.parametrize("path", [b"/api/v1/voters/", b"/api/v1/polls/"])
async def test_the_limits_say_who_is_over(wire: MakeWire, settings: Any, path: bytes) -> None:
    settings.RATE_LIMITS, settings.REDIS_URL = True, ""
    settings.RATE_VOTES = settings.RATE_POLLS = "0/minute"
    request = b"POST %b HTTP/1.1\r\nhost: testserver\r\ncontent-length: 0\r\n\r\n" % path
    limited = http_application(RateLimits())

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await limited(scope, receive, send)

    connection = await wire(application).send(request * 3)
    assert connection.statuses == [429]
    assert not connection.transport.is_reading


# Time


@pytest.mark.parametrize(
    "start",
    [b"G", GET, POST + b"content-length: 5\r\n\r\nhe", POST + CHUNKED + b"1\r\nx"],
    ids=["line", "head", "body", "chunks"],
)
async def test_a_request_that_takes_too_long_gets_408(wire: MakeWire, start: bytes) -> None:
    connection = await wire().send(start)
    assert (await connection.after(19)).out == b""
    assert (await connection.after(21)).statuses == [408]
    assert connection.seen == []
    assert (await connection.after(30)).transport.is_aborted


async def test_a_request_that_was_answered_is_not_answered_again(wire: MakeWire) -> None:
    connection = await wire().send(POST + b"content-length: 9999999\r\n\r\n", b"x")
    assert connection.statuses == [413]
    assert (await connection.after(21)).statuses == [413]
    assert connection.transport.is_closed
    connection = await wire().send(POST + CHUNKED, b"41000\r\n" + b"x" * 0x41000, b"zz\r\n")
    assert connection.statuses == [413]
    assert connection.transport.is_closed


@pytest.mark.parametrize("idle", [[], [b"\r\n"], [b"\r\n"] * 50])
async def test_a_connection_without_a_request_is_dropped(wire: MakeWire, idle: list[bytes]) -> None:
    connection = await wire().send(*idle)
    assert not (await connection.after(19)).transport.is_closed
    assert (await connection.after(21)).transport.is_aborted
    assert connection.out == b""


async def test_blank_lines_do_not_keep_a_connection_alive(wire: MakeWire) -> None:
    connection = await wire().send(VALID["get"])
    armed = connection.http.timeout_keep_alive_task
    await connection.send(b"\r\n", b"\r\n")
    assert armed is not None
    assert connection.http.timeout_keep_alive_task is armed
    assert not armed.cancelled()


async def test_a_request_may_take_its_time_once_it_is_whole(wire: MakeWire) -> None:
    async def thinks(scope: Any, receive: Any, send: Any) -> None:
        await connection.loop.create_future()

    connection = wire(thinks)
    await connection.send(VALID["post"])
    assert not (await connection.after(1000)).transport.is_closed


async def test_an_unread_response_ends_the_connection(wire: MakeWire) -> None:
    connection = await wire().send(VALID["get"])
    connection.transport.unsent = 50_000
    await connection.after(0)
    assert not (await connection.after(29)).transport.is_closed
    assert (await connection.after(31)).transport.is_aborted


async def test_a_slow_reader_may_go_on(wire: MakeWire) -> None:
    connection = await wire().send(VALID["get"])
    for look in range(20):
        connection.transport.unsent = 1_000_000 - 20_000 * look
        await connection.after(10 * look)
    assert not connection.transport.is_closed


async def test_a_closed_connection_that_does_not_end_is_aborted(wire: MakeWire) -> None:
    connection = await wire().send(VALID["get"])
    connection.transport.unsent = 50_000
    connection.transport.close()
    await connection.after(0)
    assert not connection.transport.is_aborted
    assert (await connection.after(6)).transport.is_aborted


async def test_keep_alive_ends_a_connection_that_holds_a_response(wire: MakeWire) -> None:
    connection = await wire().send(VALID["get"])
    connection.transport.unsent = 50_000
    connection.http.timeout_keep_alive_handler()
    assert connection.transport.is_aborted


# How many


async def test_connections_are_counted_until_they_are_gone(wire: MakeWire, settings: Any) -> None:
    settings.MAX_CONNECTIONS_PER_ADDRESS = 2
    first, second = wire(), wire()
    third = wire()
    assert third.statuses == [503]
    assert b"retry-after" in third.out
    assert third.transport.is_closed
    assert not wire(peer="192.0.2.2").transport.is_closed
    first.transport.unsent = 1  # its client does not read: the transport stays
    first.transport.close()
    await first.settle()
    assert wire().transport.is_closed
    first.transport.abort()
    await first.settle()
    assert not wire().transport.is_closed
    assert not second.transport.is_closed


async def test_behind_a_trusted_proxy_its_connections_are_not_one_address(
    wire: MakeWire, settings: Any
) -> None:
    settings.MAX_CONNECTIONS_PER_ADDRESS, settings.TRUSTED_PROXIES = 1, 1
    assert not any(one.transport.is_closed for one in [wire() for _ in range(3)])


async def test_all_addresses_together_have_a_bound(wire: MakeWire, settings: Any) -> None:
    settings.MAX_CONNECTIONS = 3
    opened = [wire(peer=f"192.0.2.{number}") for number in range(4)]
    assert [one.transport.is_closed for one in opened] == [False] * 3 + [True]


async def test_the_clock_comes_by_itself(wire: MakeWire, settings: Any) -> None:
    settings.REQUEST_SECONDS = 0.02
    connection = wire()
    connection.http.data_received(GET)
    while not connection.out:
        await connection.settle()
    assert connection.statuses == [408]


async def test_a_refusal_is_one_line_without_the_request(
    wire: MakeWire, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_events, "_thinned", security_events._Thinned())
    caplog.set_level("INFO", logger="livepoll.security")
    await wire().send(GET + b"authorization: Bearer secret\r\nx : 1\r\n\r\n")
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        f"event=connection_refused detail=malformed client={tag_of('192.0.2.1')} address=192.0.2.1"
    )
