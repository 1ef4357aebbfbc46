"""One socket's sender: the newest tally only, everything else in order, and an end."""

import asyncio

import orjson

from realtime.watcher import Watcher
from tests.realtime.factories import FakeClient


def tally(version: int) -> str:
    return orjson.dumps({"type": "results", "version": version}).decode()


def note(number: int) -> str:
    return orjson.dumps({"type": "poll", "number": number}).decode()


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_slow_client_skips_to_the_newest_tally() -> None:
    client = FakeClient(is_slow=True)
    client.watcher.offer(tally(1))
    await settle()
    for version in range(2, 50):
        client.watcher.offer(tally(version))
    client.take(10)
    await settle()
    assert [frame["version"] for frame in client.got] == [1, 49]


async def test_what_must_arrive_arrives_in_order_and_before_the_tally() -> None:
    client = FakeClient(is_slow=True)
    client.watcher.offer(tally(1))
    await settle()
    for number in range(5):
        client.watcher.offer(tally(2 + number))
        client.watcher.post(note(number))
    client.take(20)
    await settle()
    assert [frame.get("number", frame.get("version")) for frame in client.got] == [
        *(1, 0, 1, 2, 3, 4, 6)
    ]


async def test_a_withdrawn_tally_is_not_sent() -> None:
    client = FakeClient(is_slow=True)
    client.watcher.post(note(0))
    await settle()
    client.watcher.offer(tally(1))
    client.watcher.withdraw()
    client.take(5)
    await settle()
    assert [frame["type"] for frame in client.got] == ["poll"]


async def test_the_end_comes_after_what_waits() -> None:
    client = FakeClient(is_slow=True)
    client.watcher.post(note(0))
    client.watcher.offer(tally(1))
    client.watcher.end(4404)
    await settle()
    assert client.closed_with is None
    client.take(2)
    await client.watcher.settled()
    assert [frame["type"] for frame in client.got] == ["poll", "results"]
    assert client.closed_with == 4404


async def test_too_much_that_must_arrive_ends_the_socket() -> None:
    client = FakeClient(is_slow=True)
    for number in range(100):
        client.watcher.post(note(number))
    client.take(1000)
    await client.watcher.settled()
    assert client.closed_with == 4408
    assert len(client.got) < 100


async def test_a_client_that_takes_nothing_is_stuck_and_can_be_cut() -> None:
    client = FakeClient(is_slow=True)
    assert not client.watcher.is_stuck(1e12, 10)
    client.watcher.post(note(0))
    await settle()
    since = client.watcher.sending_since
    assert not client.watcher.is_stuck(since + 9, 10)
    assert client.watcher.is_stuck(since + 11, 10)
    client.watcher.cut(4408)
    await client.watcher.settled()
    assert client.closed_with == 4408
    assert client.got == []


async def test_a_cut_socket_is_let_go_even_when_it_takes_no_close() -> None:
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    watcher = Watcher(hang, hang, "http://testserver")
    watcher.post(note(0))
    await settle()
    watcher.cut(4408)
    watcher.cut(4408)
    await asyncio.wait_for(watcher.settled(), 5)


async def test_a_client_that_took_its_frame_is_not_stuck() -> None:
    client = FakeClient()
    client.watcher.post(note(0))
    await settle()
    assert not client.watcher.is_stuck(1e12, 10)
