"""What a WebSocket may cost: control frames, fragments, what its client does not read."""

import asyncio
from functools import partial
from typing import Any

import pytest
from websockets.protocol import Protocol

from polls.rules.limits import LIMITS
from realtime import wire as realtime_wire
from realtime.close_codes import CloseCode
from realtime.consumers import PollConsumer
from tests.chaos.wire import OP_CLOSE, OP_PING, OP_PONG, OP_TEXT, frame_bytes, upgrade_bytes
from tests.transport.conftest import MakeWire

PING = frame_bytes(b"", OP_PING)


class Screen:
    """An application that takes frames and never closes; keeps what it got."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.send: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.send = send
        while True:
            message = await receive()
            self.got.append(message)
            if message["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
            if message["type"] == "websocket.disconnect":
                return


def close_code(out: bytes) -> int:
    """The code of the close frame at the end of what was written."""
    at = out.rindex(b"\x88")
    return int.from_bytes(out[at + 2 : at + 4], "big")


async def test_pings_are_answered_within_the_rate_of_frames(wire: MakeWire, settings: Any) -> None:
    settings.RATE_LIMITS, settings.SOCKET_FRAMES_PER_SECOND = True, 5
    connection = await wire(Screen()).upgrade()
    await connection.send(PING * 3)
    assert connection.out == b"\x8a\x00"
    await connection.send(PING * 40_000)
    assert close_code(connection.out) == CloseCode.TOO_MANY
    assert len(connection.out) < 100
    await connection.send(*[PING * 40_000] * 3)
    assert connection.transport.is_aborted


async def test_who_is_closed_for_too_much_is_not_read_any_more(
    wire: MakeWire, settings: Any
) -> None:
    """Not when the application takes notice either, which resumes reading otherwise."""
    settings.RATE_LIMITS, settings.SOCKET_FRAMES_PER_SECOND = True, 5
    screen = Screen()
    connection = await wire(screen).upgrade()
    await connection.send(PING * 40)
    assert screen.got[-1]["type"] == "websocket.disconnect"
    assert connection.transport.has_written_eof
    assert not connection.transport.is_reading


async def test_the_application_can_end_a_socket_so_too(wire: MakeWire) -> None:
    screen = Screen()
    connection = await wire(screen).upgrade()
    await connection.send(frame_bytes(b"{}"))
    assert connection.transport.is_reading
    assert realtime_wire.end(screen.send, CloseCode.TOO_MANY)
    await connection.settle()
    assert close_code(connection.out) == CloseCode.TOO_MANY
    assert not connection.transport.is_reading


async def test_pongs_count_too(wire: MakeWire, settings: Any) -> None:
    settings.RATE_LIMITS, settings.SOCKET_FRAMES_PER_SECOND = True, 5
    connection = await wire(Screen()).upgrade()
    await connection.send(frame_bytes(b"", OP_PONG) * 20)
    assert close_code(connection.out) == CloseCode.TOO_MANY


async def test_nothing_is_written_to_a_client_that_does_not_read(
    wire: MakeWire, settings: Any
) -> None:
    """Without rates too: a bound is none."""
    settings.RATE_LIMITS = False
    connection = await wire(Screen()).upgrade()
    connection.socket.pause_writing()
    connection.transport.unsent = 100_000
    await connection.send(*[frame_bytes(b"x" * 125, OP_PING) * 100] * 20)
    assert connection.out == b""
    assert connection.socket.conn.writes == []


async def test_a_pong_that_does_not_come_ends_the_connection_at_once(wire: MakeWire) -> None:
    connection = await wire(Screen()).upgrade()
    connection.transport.unsent = 100_000
    connection.socket.send_keepalive_ping()
    connection.socket.keepalive_timeout()
    assert connection.transport.is_aborted


async def test_a_closed_socket_whose_client_does_not_read_is_aborted(wire: MakeWire) -> None:
    screen = Screen()
    connection = await wire(screen).upgrade()
    connection.transport.unsent = 100_000
    await screen.send({"type": "websocket.close", "code": 4408})
    await connection.settle()
    connection.transport.close()  # what the server does when the application has ended
    await connection.after(0)
    assert (await connection.after(6)).transport.is_aborted
    assert len(connection.connections) == 0


async def test_an_upgraded_connection_is_counted_until_it_is_gone(wire: MakeWire) -> None:
    connection = await wire(Screen()).upgrade()
    assert len(connection.connections) == 1
    connection.transport.unsent = 1
    connection.transport.close()
    await connection.settle()
    assert len(connection.connections) == 1
    connection.transport.abort()
    await connection.settle()
    assert len(connection.connections) == 0


async def test_a_watcher_counts_until_its_transport_is_gone(wire: MakeWire) -> None:
    screen = Screen()
    connection = await wire(screen).upgrade()
    gone: list[str] = []
    realtime_wire.when_gone(screen.send, partial(gone.append, "dismissed"))
    connection.transport.unsent = 1
    connection.transport.close()
    await connection.settle()
    assert gone == []
    connection.transport.abort()
    await connection.settle()
    assert gone == ["dismissed"]
    realtime_wire.when_gone(screen.send, partial(gone.append, "at once"))
    assert gone[-1] == "at once"


async def test_a_socket_that_is_given_up_takes_its_transport_along(wire: MakeWire) -> None:
    screen = Screen()
    connection = await wire(screen).upgrade()
    connection.transport.unsent = 100_000
    consumer = PollConsumer()
    consumer.base_send = screen.send
    consumer._give_up()
    assert connection.transport.is_aborted


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"\xed\xa0\x80", b"a\xc3"])
async def test_text_that_is_not_utf_8_is_closed_quietly(
    wire: MakeWire, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    screen = Screen()
    connection = await wire(screen).upgrade()
    await connection.send(frame_bytes(payload))
    assert close_code(connection.out[:4]) == 1007
    assert connection.transport.is_closed
    assert [
        record for record in caplog.records if record.exc_info or record.levelname == "ERROR"
    ] == []
    assert [message["type"] for message in screen.got] == [
        "websocket.connect",
        "websocket.disconnect",
    ]


async def test_a_message_has_so_many_fragments_at_most(wire: MakeWire) -> None:
    connection = await wire(Screen()).upgrade()
    first, more = frame_bytes(b"", first=0x01), frame_bytes(b"", first=0x00)
    await connection.send(first + more * (LIMITS["websocket_fragments"] - 1))
    assert connection.out == b""
    await connection.send(more * 40_000)
    assert close_code(connection.out) == CloseCode.BAD_FRAMES


async def test_messages_that_wait_are_bounded(wire: MakeWire) -> None:
    async def never_receives(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await asyncio.get_running_loop().create_future()

    connection = await wire(never_receives).upgrade()
    await connection.send(frame_bytes(b"") * 40_000)
    assert close_code(connection.out) == CloseCode.TOO_MANY
    assert connection.socket.queue.qsize() < 150


async def test_a_client_that_is_closed_for_flooding_may_say_goodbye(
    wire: MakeWire, settings: Any
) -> None:
    settings.RATE_LIMITS, settings.SOCKET_FRAMES_PER_SECOND = True, 1
    connection = await wire(Screen()).upgrade()
    await connection.send(PING * 5, frame_bytes(b"\x11\x4d", OP_CLOSE))
    assert close_code(connection.out) == CloseCode.TOO_MANY
    assert connection.transport.has_written_eof
    assert not connection.transport.is_aborted  # the client closes, or the timer


@pytest.mark.parametrize("size", [7_900, 8_100, 20_000])
async def test_an_upgrade_with_long_headers_is_answered(wire: MakeWire, size: int) -> None:
    handshake = upgrade_bytes("/ws/polls/AAAAAA/", {"Cookie": "a=" + "b" * (size - 10)})
    connection = await wire(Screen()).send(handshake)
    assert connection.statuses == [101 if size < 8_000 else 431]


async def test_an_upgrade_that_the_library_cannot_take_is_answered(wire: MakeWire) -> None:
    handshake = upgrade_bytes("/ws/polls/AAAAAA/").replace(b"Version: 13", b"Version: 12")
    connection = await wire(Screen()).send(handshake)
    assert connection.statuses == [400]
    assert connection.transport.is_closed


async def test_an_upgrade_behind_a_request_under_way_is_refused(wire: MakeWire) -> None:
    connection = await wire().send(
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" + upgrade_bytes("/ws/polls/AAAAAA/")
    )
    assert connection.statuses == [200]
    assert connection.transport.is_closed


async def test_a_frame_of_its_kind_reaches_the_application(wire: MakeWire) -> None:
    screen = Screen()
    connection = await wire(screen).upgrade()
    await connection.send(frame_bytes(b"gr", first=OP_TEXT), frame_bytes("ün".encode(), first=0x80))
    assert screen.got[-1] == {"type": "websocket.receive", "text": "grün"}


WHOLE = frame_bytes(b"whole", OP_TEXT)
BEGUN = {
    "a byte": WHOLE[:1],
    "a head": WHOLE[:2],
    "a mask": WHOLE[:6],
    "a payload": WHOLE[:-1],
    "a fragment": frame_bytes(b"first", first=OP_TEXT),
    "a fragment and a ping": frame_bytes(b"first", first=OP_TEXT) + PING,
    "a ping": frame_bytes(b"x" * 100, OP_PING)[:50],
    "a message behind a whole one": WHOLE + WHOLE[:2],
}


@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
async def test_a_message_that_does_not_come_whole_ends_the_socket(
    wire: MakeWire, settings: Any, begun: bytes
) -> None:
    connection = await wire(Screen()).upgrade()
    await connection.send(begun)
    await connection.after(settings.REQUEST_SECONDS - 1)
    assert b"\x88" not in connection.out
    await connection.after(settings.REQUEST_SECONDS + 1)
    assert close_code(connection.out) == CloseCode.TOO_SLOW


async def test_a_socket_between_messages_has_all_the_time(wire: MakeWire, settings: Any) -> None:
    screen = Screen()
    connection = await wire(screen).upgrade()
    await connection.send(*[WHOLE[at : at + 1] for at in range(len(WHOLE))], PING)
    fragment = frame_bytes(b"first", first=OP_TEXT)
    await connection.send(fragment, frame_bytes(b"last", first=0x80))
    await connection.after(settings.REQUEST_SECONDS + 1000)
    assert not connection.transport.is_closed
    assert b"\x88" not in connection.out
    assert [one.get("text") for one in screen.got] == [None, "whole", "firstlast"]


async def test_who_ends_each_message_with_the_begin_of_the_next_is_in_time(
    wire: MakeWire, settings: Any
) -> None:
    connection = await wire(Screen()).upgrade()
    await connection.send(WHOLE[:2])
    timed: Any = connection.socket._timed
    timed.waiting_since -= settings.REQUEST_SECONDS
    await connection.send(WHOLE[2:] + WHOLE[:2])
    await connection.after(settings.REQUEST_SECONDS - 1)
    assert b"\x88" not in connection.out


@pytest.mark.parametrize("cut", [0, 1, 5, 9, 12, 18])
async def test_what_comes_before_the_handshake_is_answered_is_read_as_what_comes_later(
    wire: MakeWire, cut: int
) -> None:
    """The parser of the request is given back with the answer, wherever frames are cut by then."""
    may_accept = asyncio.Event()
    got: list[str] = []

    async def screen(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await may_accept.wait()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            got.append(message["text"])

    sent = frame_bytes(b"one", OP_TEXT) + frame_bytes(b"two", OP_TEXT)
    connection = wire(screen)
    await connection.send(upgrade_bytes("/ws/polls/x/"), sent[:cut])
    may_accept.set()
    await connection.settle()
    await connection.send(sent[cut:], frame_bytes(b"three", OP_TEXT))
    assert got == ["one", "two", "three"]


async def test_a_quiet_socket_keeps_nothing_of_its_handshake(wire: MakeWire) -> None:
    connection = await wire(Screen()).upgrade()
    parser: Any = connection.socket.conn.parser
    assert parser.gi_code is Protocol.parse.__code__
    assert not hasattr(connection.socket, "request")
    assert vars(connection.socket) == {}
