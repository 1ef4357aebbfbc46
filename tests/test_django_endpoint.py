"""Django on lasting threads: bounded, healed, without a trace of the request before."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import OperationalError, connection, connections
from django.test import override_settings

from livepoll import django_endpoint
from livepoll.django_endpoint import SWITCH_SECONDS, DjangoEndpoint
from livepoll.request_threads import RequestThreads
from livepoll.unsent import UnsentResponses
from polls.errors import Overloaded
from polls.http import heavy_requests
from polls.http.heavy_requests import HeavyRequests
from tests import slow_urls
from tests.polls.elsewhere import kill_backend
from tests.realtime.waiting import eventually

Message = dict[str, Any]


class Exchange:
    """One request to an ASGI application, and what came back."""

    def __init__(
        self, application: Any, path: str, method: str = "GET", *headers: tuple[bytes, bytes]
    ) -> None:
        self._application = application
        self.scope = {
            "type": "http", "method": method, "path": path, "query_string": b"",
            "headers": [(b"host", b"localhost"), *headers], "client": ("198.51.100.7", 4711),
            "server": ("localhost", 80), "scheme": "http",
        }  # fmt: skip
        self.gone = asyncio.Event()
        self.body_ends = asyncio.Event()
        self.body_ends.set()
        self.reads = asyncio.Event()
        self.reads.set()
        self.sent: list[Message] = []
        self._has_sent_body = False

    async def run(self) -> "Exchange":
        await self._application(self.scope, self._receive, self._send)
        return self

    async def _receive(self) -> Message:
        if not self._has_sent_body:
            await self.body_ends.wait()
            self._has_sent_body = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:] if "body" in message)


@pytest.fixture
def scene() -> Iterator[slow_urls.Scene]:
    slow_urls.scene = slow_urls.Scene()
    yield slow_urls.scene
    slow_urls.scene.go_on.set()


@pytest.fixture
def make_endpoint(
    scene: slow_urls.Scene, transactional_db: None
) -> Iterator[Callable[..., DjangoEndpoint]]:
    """An endpoint of the views in `slow_urls`, with settings of its own."""
    made = []
    with override_settings(ROOT_URLCONF="tests.slow_urls"):

        def make(threads: int = 2, queue: int = 100, heavy: int = 1) -> DjangoEndpoint:
            with override_settings(
                REQUEST_THREADS=threads, REQUEST_QUEUE=queue, HEAVY_REQUESTS=heavy
            ):
                made.append(DjangoEndpoint())
            return made[-1]

        yield make
        scene.go_on.set()
        for endpoint in made:
            endpoint.stop()


async def entered(scene: slow_urls.Scene, number: int) -> None:
    """Wait until so many requests are in their view."""
    for _ in range(number):
        assert await asyncio.to_thread(scene.entered.acquire, timeout=20)


async def test_many_requests_at_once_share_few_connections(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    endpoint = make_endpoint(threads=3)
    running = [asyncio.create_task(Exchange(endpoint, "/held/").run()) for _ in range(26)]
    await entered(scene, 3)
    assert not scene.entered.acquire(blocking=False)
    scene.go_on.set()
    assert {one.status for one in await asyncio.gather(*running)} == {200}
    assert len(scene.connections) == 26
    assert len({id(one) for one in scene.connections}) == len(set(scene.threads)) == 3


@pytest.mark.parametrize(
    ("path", "content_type"), [("/api/failing/", "application/problem+json"), ("/", "text/html")]
)
async def test_what_finds_the_queue_full_is_refused_at_once(
    make_endpoint: Callable[..., DjangoEndpoint],
    scene: slow_urls.Scene,
    path: str,
    content_type: str,
) -> None:
    endpoint = make_endpoint(threads=1, queue=1)
    running = [asyncio.create_task(Exchange(endpoint, "/held/").run()) for _ in range(2)]
    await entered(scene, 1)
    refused = await Exchange(endpoint, path).run()
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"].startswith(content_type)
    scene.go_on.set()
    assert [one.status for one in await asyncio.gather(*running)] == [200, 200]


async def test_a_client_that_is_gone_leaves_the_queue(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    endpoint = make_endpoint(threads=1, queue=1)
    first = asyncio.create_task(Exchange(endpoint, "/held/").run())
    await entered(scene, 1)
    for _ in range(5):
        leaving = Exchange(endpoint, "/held/")
        leaving.gone.set()
        assert (await leaving.run()).sent == []
    last = asyncio.create_task(Exchange(endpoint, "/quick/").run())
    scene.go_on.set()
    assert (await first).status == (await last).status == 200
    assert len(scene.threads) == 1


async def test_a_client_that_leaves_a_running_request_leaves_a_thread_that_works(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    endpoint = make_endpoint(threads=1)
    leaving = Exchange(endpoint, "/held/")
    running = asyncio.create_task(leaving.run())
    await entered(scene, 1)
    leaving.gone.set()
    assert (await running).sent == []
    scene.go_on.set()
    assert (await Exchange(endpoint, "/quick/").run()).status == 200


async def test_a_body_that_does_not_end_holds_no_thread(
    make_endpoint: Callable[..., DjangoEndpoint],
) -> None:
    endpoint = make_endpoint(threads=1)
    slow = Exchange(endpoint, "/quick/", "POST")
    slow.body_ends.clear()
    running = asyncio.create_task(slow.run())
    assert (await Exchange(endpoint, "/quick/").run()).status == 200
    slow.body_ends.set()
    assert (await running).status == 200


async def test_sign_ins_leave_threads_to_the_rest(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    endpoint = make_endpoint(threads=1)
    running = [
        asyncio.create_task(Exchange(endpoint, "/admin/held/", "POST").run()) for _ in range(9)
    ]
    await entered(scene, 2)
    assert (await Exchange(endpoint, "/quick/").run()).status == 200
    scene.go_on.set()
    await asyncio.gather(*running)
    assert len({id(one) for one in scene.connections}) == 2


async def test_nothing_of_a_request_is_left_to_the_next(
    make_endpoint: Callable[..., DjangoEndpoint],
) -> None:
    endpoint = make_endpoint(threads=1)
    before = (await Exchange(endpoint, "/quick/").run()).body
    thread = (await Exchange(endpoint, "/leaking/").run()).body
    assert (await Exchange(endpoint, "/quick/").run()).body == before
    assert (await Exchange(endpoint, "/leaking/").run()).body == thread


async def test_the_signals_come_once_in_the_thread_of_the_request(
    make_endpoint: Callable[..., DjangoEndpoint],
) -> None:
    seen: list[tuple[str, str]] = []

    def note_start(**_: Any) -> None:
        seen.append(("started", threading.current_thread().name))

    def note_end(**_: Any) -> None:
        seen.append(("finished", threading.current_thread().name))

    endpoint = make_endpoint(threads=1)
    request_started.connect(note_start)
    request_finished.connect(note_end)
    try:
        await Exchange(endpoint, "/quick/").run()
        streamed = await Exchange(endpoint, "/stream/").run()
    finally:
        request_started.disconnect(note_start)
        request_finished.disconnect(note_end)
    assert len(streamed.body) == 7_000_000
    assert seen == [
        ("started", "request-0"), ("finished", "request-0"),
        ("started", "request-0"), ("finished", "stream-0"),
    ]  # fmt: skip


async def test_queries_are_not_gathered_for_ever(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    numbers = []

    def note(**_: Any) -> None:
        numbers.append(len(connection.queries_log))

    scene.go_on.set()
    endpoint = make_endpoint(threads=1)
    request_finished.connect(note)
    try:
        with override_settings(DEBUG=True):
            for _ in range(4):
                await Exchange(endpoint, "/held/").run()
    finally:
        request_finished.disconnect(note)
    assert len(numbers) == 4
    assert max(numbers[1:]) == min(numbers[1:]) > 0


async def test_a_header_with_an_underscore_is_not_the_one_with_a_dash(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    scene.go_on.set()
    forged = (b"x_forwarded_for", b"203.0.113.9")
    assert (await Exchange(make_endpoint(), "/held/", "GET", forged).run()).body == b"-"


@pytest.mark.servers
async def test_a_thread_whose_connection_was_ended_gets_another(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    scene.go_on.set()
    endpoint = make_endpoint(threads=1)
    await Exchange(endpoint, "/held/").run()
    await asyncio.to_thread(kill_backend, scene.connections[0].get_backend_pid())  # type: ignore[attr-defined]
    assert (await Exchange(endpoint, "/held/").run()).status == 200
    assert scene.connections[0] is not scene.connections[1]


async def test_a_stream_whose_client_does_not_read_gives_its_thread_back(
    make_endpoint: Callable[..., DjangoEndpoint],
    scene: slow_urls.Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(django_endpoint, "STALLED_SECONDS", 0.05)
    endpoint = make_endpoint(heavy=1)
    stuck = Exchange(endpoint, "/stream/")
    stuck.reads.clear()
    assert (await stuck.run()).sent == []
    assert await asyncio.to_thread(scene.closed.wait, 20)
    assert len((await Exchange(endpoint, "/stream/").run()).body) == 7_000_000


async def test_a_slow_stream_is_waited_for_only_while_nobody_wants_its_place(
    make_endpoint: Callable[..., DjangoEndpoint],
    scene: slow_urls.Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = HeavyRequests(1)
    monkeypatch.setattr(heavy_requests, "heavy_requests", places)
    monkeypatch.setattr(django_endpoint, "WANTED_SECONDS", 0.05)
    monkeypatch.setattr(django_endpoint, "_LOOK_SECONDS", 0.01)
    endpoint = make_endpoint(heavy=1)
    slow = Exchange(endpoint, "/stream/")
    slow.reads.clear()
    running = asyncio.create_task(slow.run())
    assert await asyncio.to_thread(scene.entered.acquire, timeout=20)
    place = places.take("somebody")
    assert not (await asyncio.wait([running], timeout=0.2))[0]
    with pytest.raises(Overloaded):
        places.take("somebody else")
    assert (await running).sent == []
    assert await asyncio.to_thread(scene.closed.wait, 20)
    place.release()


async def test_a_stream_whose_client_is_gone_gives_its_thread_back(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    endpoint = make_endpoint(heavy=1)
    leaving = Exchange(endpoint, "/stream/")
    leaving.reads.clear()
    running = asyncio.create_task(leaving.run())
    await entered(scene, 1)
    leaving.gone.set()
    await running
    leaving.reads.set()  # what a server does for one that is gone
    assert await asyncio.to_thread(scene.closed.wait, 20)
    assert len((await Exchange(endpoint, "/stream/").run()).body) == 7_000_000


async def test_readers_that_do_not_read_hold_few_long_responses(
    make_endpoint: Callable[..., DjangoEndpoint],
) -> None:
    endpoint = make_endpoint()
    endpoint.unsent = UnsentResponses(2_500_000)
    slow = [Exchange(endpoint, "/long/") for _ in range(2)]
    for one in slow:
        one.reads.clear()
    running = [asyncio.create_task(one.run()) for one in slow]
    await eventually(lambda: endpoint.unsent.held_bytes == 2_000_000)
    refused = await Exchange(endpoint, "/long/").run()
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    honest = Exchange(endpoint, "/long/")
    honest.scope["client"] = ("192.0.2.1", 4711)
    assert len((await honest.run()).body) == 1_000_000
    assert endpoint.unsent.held_bytes == 1_000_000
    for one in slow:
        one.gone.set()
        one.reads.set()
    await asyncio.gather(*running)
    assert endpoint.unsent.held_bytes == 0


async def test_a_stream_that_fails_before_its_first_byte_is_a_failure(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    scene.failure = OperationalError("gone")
    failed = await Exchange(make_endpoint(), "/stream/").run()
    assert failed.status == 503
    assert scene.closed.is_set()


async def test_the_head_of_a_stream_is_sent_without_making_it(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene
) -> None:
    head = await Exchange(make_endpoint(), "/stream/", "HEAD").run()
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("path", ["/failing/", "/api/failing/"])
@pytest.mark.parametrize("accepted", ["de", "en", "ar"])
async def test_a_view_that_the_database_fails_is_503(
    make_endpoint: Callable[..., DjangoEndpoint], scene: slow_urls.Scene, path: str, accepted: str
) -> None:
    scene.failure = OperationalError("FATAL: the database system is shutting down")
    language = (b"accept-language", accepted.encode())
    failed = await Exchange(make_endpoint(), path, "GET", language).run()
    assert failed.status == 503
    assert int(failed.headers["retry-after"]) >= 1
    if path == "/failing/":
        assert f'lang="{accepted}"' in failed.body.decode()
        assert f"/scripts/outage.{accepted}." in failed.body.decode()
        assert "script-src" in failed.headers["content-security-policy"] or (
            "default-src 'self'" in failed.headers["content-security-policy"]
        )


async def test_stopping_waits_for_requests_and_closes_their_connections(
    make_endpoint: Callable[..., DjangoEndpoint],
    scene: slow_urls.Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []
    close_all = connections.close_all

    def note_and_close() -> None:
        closed.append(threading.current_thread().name)
        close_all()

    monkeypatch.setattr(connections, "close_all", note_and_close)
    endpoint = make_endpoint(threads=2)
    running = asyncio.create_task(Exchange(endpoint, "/held/").run())
    await entered(scene, 1)
    stopping = asyncio.create_task(asyncio.to_thread(endpoint.stop))
    scene.go_on.set()
    assert (await running).status == 200
    await stopping
    assert closed == ["request-0"]


def test_work_that_is_cancelled_while_it_waits_never_begins() -> None:
    threads = RequestThreads("test", threads=1, waiting=1)
    go_on, began = threading.Event(), []
    try:
        first = threads.submit(lambda: go_on.wait(20))
        second = threads.submit(lambda: began.append(1))
        with pytest.raises(Overloaded):
            threads.submit(lambda: began.append(2))
        assert second.cancel()
        third = threads.submit(lambda: "third")
        go_on.set()
        assert (first.result(20), third.result(20)) == (True, "third")
        with pytest.raises(CancelledError):
            second.result(20)
    finally:
        threads.stop()
    assert began == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness each")
def test_requests_stand_back_where_the_event_loop_wants_the_core() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    endpoint = DjangoEndpoint()
    pools = (endpoint.ordinary, endpoint.sign_ins, endpoint.streams)
    try:
        assert {pool.submit(niceness).result(20) for pool in pools} == {min(19, niceness() + 10)}
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    finally:
        endpoint.stop()


def test_threads_start_as_they_are_needed_and_outlive_what_fails() -> None:
    threads = RequestThreads("test", threads=3, waiting=10)

    def fail() -> None:
        raise SystemExit

    try:
        with pytest.raises(SystemExit):
            threads.submit(fail).result(20)
        names = {threads.submit(lambda: threading.current_thread().name).result(20)}
        assert names == {"test-0"}
    finally:
        threads.stop()
    assert threads.submit(lambda: "again").result(20) == "again"
    threads.stop()
