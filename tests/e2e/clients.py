"""Clients of a running site: its API, screens that watch a poll, and a count of its votes."""

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
import psycopg2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.harness import Site
from tests.poll_api import Json, PollApi

DEADLINE_SECS = 15.0
CONNECTIONS = 50


@asynccontextmanager
async def api_at(url: str) -> AsyncIterator[PollApi]:
    """The API of one server process, over lasting connections and without cookies."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=url,
        timeout=DEADLINE_SECS,
        limits=limits,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    ) as http:
        yield PollApi(http)


@asynccontextmanager
async def apis_of(site: Site) -> AsyncIterator[list[PollApi]]:
    """The API of each process of the site."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(api_at(process.url)) for process in site]


class Line:
    """One lasting HTTP connection: ten times as quick as a general client, so that a few
    of them press a server hard from the same machine. A context manager."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    async def vote(self, poll: Json, choice: int, *, voter: str) -> tuple[int, Json]:
        """The status and body of the answer; the same word is the same voter."""
        body = orjson.dumps({"choices": [choice]})
        return await self._ask(
            f"POST /api/v1/polls/{poll['id']}/votes/ HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Idempotency-Key: {voter}\r\n\r\n".encode()
            + body
        )

    async def results(self, poll: Json) -> Json:
        path = f"/api/v1/polls/{poll['id']}/results/"
        status, body = await self._ask(
            f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()
        )
        assert status == 200
        return body

    async def _ask(self, request: bytes) -> tuple[int, Json]:
        async with asyncio.timeout(DEADLINE_SECS):
            self._writer.write(request)
            head = await self._reader.readuntil(b"\r\n\r\n")
            [length] = re.findall(rb"(?i)\ncontent-length: *(\d+)", head)
            body = orjson.loads(await self._reader.readexactly(int(length)))
        assert isinstance(body, dict)
        return int(head.split(b" ", 2)[1]), body


@asynccontextmanager
async def lines_to(site: Site, *, each: int) -> AsyncIterator[list[Line]]:
    """So many lines to each process, taking turns: 1, 2, 1, 2, …"""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Line(process.url))
            for _ in range(each)
            for process in site
        ]


class Screen:
    """A socket that writes down each frame and when it came. A context manager."""

    def __init__(self, ws_url: str, poll: Json) -> None:
        self._url = f"{ws_url}/ws/polls/{poll['id']}/"
        self._came = asyncio.Event()
        self.frames: list[tuple[float, Json]] = []
        self.close_code: int | None = None

    async def __aenter__(self) -> Self:
        self._socket = await connect(self._url, proxy=None, compression=None)
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: self.frames, what="a snapshot")
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._socket.close()
        await self._reading

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self.frames.append((time.time(), orjson.loads(text)))
                self._came.set()
        except ConnectionClosed:
            pass
        self.close_code = self._socket.close_code
        self._came.set()

    async def until(
        self, check: Callable[[], object], *, what: str, within_secs: float = DEADLINE_SECS
    ) -> None:
        """Wait until frames that came make `check` say yes."""
        try:
            async with asyncio.timeout(within_secs):
                while not check():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            last = self.frames[-1] if self.frames else "nothing"
            raise AssertionError(f"not within {within_secs} s: {what}; last {last}") from None

    @property
    def tallies(self) -> list[Json]:
        """Every tally that was shown, in the snapshot too."""
        shown = [
            frame["results"] if frame["type"] == "snapshot" else frame
            for _, frame in self.frames
            if frame["type"] in ("snapshot", "results")
        ]
        return [tally for tally in shown if tally]

    @property
    def newest(self) -> Json:
        return self.tallies[-1]

    async def shows(self, version: int, *, within_secs: float = DEADLINE_SECS) -> None:
        """Wait until this version, or a newer one, is shown."""
        await self.until(
            lambda: self.newest["version"] >= version,
            what=f"version {version}",
            within_secs=within_secs,
        )

    async def shows_final(self) -> Json:
        """Wait for the final tally."""
        await self.until(lambda: self.newest["final"], what="the final tally")
        return self.newest

    def check_order(self) -> None:
        """Versions only rose; none came twice but for a change of the poll between."""
        last, may_repeat = (0, -1), False
        for _, frame in self.frames:
            if frame["type"] not in ("snapshot", "results"):
                may_repeat |= frame["type"] == "poll"
                continue
            tally = frame["results"] if frame["type"] == "snapshot" else frame
            place = (tally["epoch"], tally["version"])
            assert place > last or (may_repeat and place == last), f"{place} after {last}"
            last, may_repeat = place, False

    def results_a_second(self) -> float:
        """Results frames a second, from the first to the last of them."""
        times = [at for at, frame in self.frames if frame["type"] == "results"]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


@asynccontextmanager
async def screens_on(site: Site, poll: Json, *, each: int) -> AsyncIterator[list[Screen]]:
    """So many screens on each process of the site, all with their snapshot."""
    screens = [Screen(process.ws_url, poll) for process in site for _ in range(each)]
    async with AsyncExitStack() as stack:
        for start in range(0, len(screens), 50):
            await asyncio.gather(*map(stack.enter_async_context, screens[start : start + 50]))
        yield screens


def count_votes(site: Site, poll: Json) -> dict[str, int]:
    """A count of the votes table itself, by option id: what every tally must say."""
    counts = {str(option["id"]): 0 for option in poll["options"]}
    query = "SELECT marks FROM polls_vote WHERE poll_id = {} AND is_current"
    for (marks,) in _rows(site.database_url, query, poll["id"]):
        for choice in marks if isinstance(marks, list) else orjson.loads(marks):
            counts[str(choice)] += 1
    return counts


def _rows(database_url: str, query: str, poll_id: str) -> list[tuple[Any, ...]]:
    if database_url.startswith("sqlite:///"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
            return list(connection.execute(query.format("?"), [poll_id.replace("-", "")]))
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query.format("%s"), [poll_id])
        return list(cursor)


async def check_agreement(
    site: Site, apis: list[PollApi], poll: Json, screens: Iterable[Screen]
) -> Json:
    """REST on each process, the newest frame of each screen and a recount say the same.

    Returns:
        The results.
    """
    shown = [await api.results(poll) for api in apis]
    newest = {name: value for name, value in shown[0].items() if name != "as_of"}
    for results in shown[1:]:
        assert {name: value for name, value in results.items() if name != "as_of"} == newest
    screens = list(screens)
    await asyncio.gather(*(screen.shows(newest["version"], within_secs=2) for screen in screens))
    for screen in screens:
        frame = {
            name: value
            for name, value in screen.newest.items()
            if name not in ("type", "watching", "as_of")
        }
        assert frame == newest
        screen.check_order()
    assert newest["counts"] == count_votes(site, poll)
    return newest
