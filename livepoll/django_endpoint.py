"""Django behind ASGI: its synchronous handler on lasting threads, with lasting connections.

Django's own ASGI handler takes a new thread, and with it a new database connection, for each
request. Here a request waits, read to its end, for one of a bounded number of threads; beyond
a bounded queue it is 503. A client that is gone leaves the queue. A response that is streamed
is sent from a thread of another pool, which no client can hold by not reading
(docs/decisions/request-threads.md).
"""

import asyncio
import contextvars
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from functools import partial
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from livepoll.django_request import SENDER
from livepoll.outage_page import outage_response
from livepoll.request_threads import RequestThreads
from livepoll.unsent import UnsentResponses
from polls import errors
from polls.database.outages import is_outage
from polls.http import heavy_requests
from polls.http.request import Disconnected, RawRequest, Receive, Send
from polls.http.response import respond_problem, response_headers
from polls.rules.limits import LIMITS

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_CHUNK_BYTES = 2**16
_CONTENT_TYPE_CHARACTERS = 200  # a multipart boundary has at most 70
# A stream whose client takes no chunk for so long, and one that takes so long in all, is ended.
STALLED_SECONDS = 20.0
STREAM_SECONDS = 300.0
# And one whose client was waited for so long in all, while someone else waits for its place.
WANTED_SECONDS = 10.0
_LOOK_SECONDS = 1.0
# A thread that computes keeps the event loop waiting for so long each time the loop comes back from
# the network, which is with every vote: Python's own 5 ms would be most of a vote's time.
SWITCH_SECONDS = 0.0005
# Votes and screens go first: pages get the core when the event loop rests.
_NICENESS = 10
_SIGN_IN_THREADS = 2
_SIGN_INS_WAITING = 100
# Where passwords are hashed, a quarter of a second of a core each.
_SIGN_IN_PATHS = ("/api/v1/accounts", "/admin")


class _Whole(NamedTuple):
    """A response to be sent as it is: its first message, and its body."""

    start: dict[str, Any]
    content: bytes


class _Handler(ASGIHandler):
    """Django's handler, with its middleware and views called from a thread."""

    def __init__(self) -> None:
        self.load_middleware(is_async=False)

    def respond(self, scope: dict[str, Any], body: bytes) -> HttpResponseBase:
        """The response, open: its `close` ends the request."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        request, refusal = self.create_request(scope, BytesIO(body))
        response = refusal if request is None else self.get_response(request)
        assert response is not None
        setattr(response, "_handler_class", type(self))  # noqa: B010 (Django's own, untyped)
        return response


class DjangoEndpoint:
    """Django as an ASGI application.

    Three pools: sign-ins have one of their own, so that hashing leaves threads to the rest;
    streams too. Django's signals come as ever, both in the thread of the request (of a stream:
    the end in the stream's).
    """

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._django = _Handler()
        self.ordinary = RequestThreads(
            "request", threads=settings.REQUEST_THREADS, waiting=settings.REQUEST_QUEUE,
            niceness=_NICENESS,
        )  # fmt: skip
        self.sign_ins = RequestThreads(
            "sign-in", threads=_SIGN_IN_THREADS, waiting=_SIGN_INS_WAITING, niceness=_NICENESS
        )
        self.unsent = UnsentResponses()
        streams = settings.HEAVY_REQUESTS
        self.streams = RequestThreads(
            "stream", threads=streams, waiting=streams, niceness=_NICENESS
        )

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = RawRequest.of(scope)
        try:
            _check_content_type(request.header(b"content-type"))
            body = await request.body(receive, LIMITS["poll_body_bytes"])
            sender = scope.get(SENDER) or request.address
            await self._respond(scope, body, receive, send, sender)
        except Disconnected:
            return
        except errors.Overloaded as error:
            await self._refuse(scope, error, send)
        except errors.PollError as error:
            await respond_problem(send, error, response_headers(request))

    def stop(self) -> None:
        """Finish what waits, and close the connections of all threads."""
        for threads in (self.ordinary, self.sign_ins, self.streams):
            threads.stop()

    async def _respond(
        self, scope: dict[str, Any], body: bytes, receive: Receive, send: Send, sender: str
    ) -> None:
        gone = asyncio.ensure_future(_disconnection(receive))
        try:
            started = self._threads_for(scope).submit(
                _in_this_context(partial(self._make_response, scope, body)), sender=sender
            )
            response = await _unless_gone(started, gone, on_late=_close)
            del started  # it holds the response too
            if isinstance(response, _Whole):
                await self._send_whole(response, send, sender)
            elif isinstance(response, FileResponse):
                await self._send_file(response, send)
            else:
                await self._send_stream(response, gone, send, sender)
        finally:
            gone.cancel()

    def _threads_for(self, scope: dict[str, Any]) -> RequestThreads:
        path: str = scope["path"].removeprefix(get_script_prefix(scope))
        is_sign_in = scope["method"] == "POST" and path.startswith(_SIGN_IN_PATHS)
        return self.sign_ins if is_sign_in else self.ordinary

    def _make_response(self, scope: dict[str, Any], body: bytes) -> HttpResponseBase | _Whole:
        """The response, open where it is to be streamed. In a thread. One that is whole is no more
        than its bytes: what they were made of, as a list's objects, is several times as large."""
        response = self._django.respond(scope, body)
        if isinstance(response, FileResponse):
            response.block_size = _CHUNK_BYTES
            if int(response.get("Content-Length", "0")) > _CHUNK_BYTES:
                return response
            content = b"".join(response)
        elif isinstance(response, HttpResponse):
            content = response.content
        elif scope["method"] == "HEAD":
            content = b""
        else:
            return response
        response.close()
        return _Whole(_start_of(response), content)

    async def _send_whole(self, response: _Whole, send: Send, sender: str) -> None:
        if len(response.content) <= _CHUNK_BYTES:
            await _send_whole(response, send)
            return
        async with self.unsent.hold(sender, len(response.content)):
            await _send_whole(response, send)

    async def _send_file(self, response: HttpResponseBase, send: Send) -> None:
        """Chunk by chunk: a thread has one only while it is read."""
        try:
            await send(_start_of(response))
            chunks = iter(response)
            while chunk := await asyncio.to_thread(next, chunks, b""):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            await asyncio.to_thread(response.close)

    async def _send_stream(
        self, response: HttpResponseBase, gone: "asyncio.Future[None]", send: Send, sender: str
    ) -> None:
        stream = _Stream(response, asyncio.get_running_loop(), send)
        try:
            sending = self.streams.submit(_in_this_context(stream.send_all), sender=sender)
        except errors.Overloaded:
            await asyncio.to_thread(response.close)
            raise
        try:
            await _unless_gone(sending, gone)
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("a stream is ended: %s", error)
            if not stream.has_begun:
                raise errors.Overloaded("The database is away; try again.") from error
            # What was sent must not look whole: the server cuts off what is not complete.
        finally:
            stream.end()  # its thread finds out with its next chunk
            if sending.cancelled():
                await asyncio.to_thread(response.close)

    async def _refuse(self, scope: dict[str, Any], error: errors.Overloaded, send: Send) -> None:
        if scope["path"].startswith("/api/"):
            headers = response_headers(RawRequest.of(scope))
            await respond_problem(send, error, headers)
            return
        request, refusal = self._django.create_request(scope, BytesIO())
        page = refusal if request is None else outage_response(request, error)
        assert isinstance(page, HttpResponse)
        await _send_whole(_Whole(_start_of(page), page.content), send)


def _check_content_type(given: str) -> None:
    """Django takes seconds for a long one, and fails with a character set it does not know.

    Raises:
        UnsupportedMediaType
    """
    if len(given) > _CONTENT_TYPE_CHARACTERS or "*" in given:
        raise errors.UnsupportedMediaType


class _Stream:
    """Sends a response's parts from a thread, each when the client has taken the one before."""

    def __init__(
        self, response: HttpResponseBase, loop: asyncio.AbstractEventLoop, send: Send
    ) -> None:
        self._response = response
        self._loop = loop
        self._send = send
        self.has_begun = False
        self._has_ended = False
        self._waited = 0.0  # for the client, in all
        self._deadline = time.monotonic() + STREAM_SECONDS

    def end(self) -> None:
        """Send no more. From the event loop."""
        self._has_ended = True

    def send_all(self) -> None:
        """In a thread. Closes the response: its iterator, its connection, its slot.

        Raises:
            Disconnected: the client is gone, or does not read.
        """
        try:
            chunks = _in_chunks(self._response)
            first = next(chunks, b"")  # what fails here can still be answered as a failure
            self.has_begun = True
            self._send_now(_start_of(self._response))
            for chunk in itertools.chain([first], chunks):
                message = {"type": "http.response.body", "body": chunk, "more_body": True}
                self._send_now(message)
        finally:
            self._response.close()  # before the client can know that it has all, and come again
        self._send_now({"type": "http.response.body"})

    def _send_now(self, message: dict[str, Any]) -> None:
        if self._has_ended or self._loop.is_closed():
            raise Disconnected
        began = time.monotonic()
        sending = asyncio.run_coroutine_threadsafe(_awaited(self._send, message), self._loop)
        while (left := self._seconds_left(began)) > 0:
            if wait([sending], timeout=min(left, _LOOK_SECONDS)).done:
                self._waited += time.monotonic() - began
                return sending.result()
        sending.cancel()
        logger.info("a stream is ended: its client does not read, or too slowly")
        raise Disconnected

    def _seconds_left(self, began: float) -> float:
        """How long the client may still take for the chunk that is being sent since `began`."""
        now = time.monotonic()
        left = min(began + STALLED_SECONDS, self._deadline) - now
        if heavy_requests.heavy_requests.is_wanted():
            left = min(left, WANTED_SECONDS - self._waited - (now - began))
        return left


async def _awaited(send: Send, message: dict[str, Any]) -> None:
    await send(message)


def _in_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of some size: each piece goes to the event loop and back."""
    gathered, size = [], 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        if size >= _CHUNK_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


def _in_this_context(work: Callable[[], Result]) -> Callable[[], Result]:
    """`work` in a copy of this context: with the request's id, and what it sets (language, time
    zone) ends with it."""
    return partial(contextvars.copy_context().run, work)


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless_gone(
    started: Any, gone: "asyncio.Future[None]", on_late: Callable[[Any], None] | None = None
) -> Any:
    """What a thread gives, as long as the client is there.

    Args:
        on_late: called with the thread's future, once that is done, if the client is gone by then.
    Raises:
        Disconnected: the client is gone; work that had not begun never does.
    """
    result = asyncio.wrap_future(started)
    try:
        await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise Disconnected
        return result.result()
    finally:
        if not result.done() and not started.cancel() and on_late is not None:
            started.add_done_callback(on_late)
        result.cancel()


def _close(started: Any) -> None:
    """Close the response of a client that is gone."""
    if started.exception() is None:
        response = started.result()
        if not isinstance(response, _Whole):
            response.close()


def _start_of(response: HttpResponseBase) -> dict[str, Any]:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [
        (b"Set-Cookie", cookie.output(header="").strip().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def _send_whole(response: _Whole, send: Send) -> None:
    start_message, content = response
    await send(start_message)
    for start in range(0, len(content), _CHUNK_BYTES):
        chunk = content[start : start + _CHUNK_BYTES]
        is_last = start + _CHUNK_BYTES >= len(content)
        await send({"type": "http.response.body", "body": chunk, "more_body": not is_last})
    if not content:
        await send({"type": "http.response.body"})


# One for the process: its threads, and so its connections, are counted.
django_endpoint = DjangoEndpoint()
