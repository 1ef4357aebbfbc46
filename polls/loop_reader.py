"""Results read on the event loop itself: the group reader without its thread.

The same promise: whoever asks before a round begins is answered from a query made after. A
round costs two system calls and no hand-over of the interpreter's lock, which for a read is
a quarter of all it costs. It only ever answers what is quickly answered, and passes on
everything else to `reading.reader`: ranked polls, polls to be sealed, results that this
process has not at hand, and all while its connection is away. PostgreSQL only.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import psycopg2
from django.db import connection
from psycopg2 import extensions
from psycopg2.extras import register_default_jsonb

from polls import draining, errors
from polls.domain import Kind
from polls.reading import Question, Reading, reader, reading_at_hand
from polls.refs import PollRef
from polls.state_rows import VENDOR, states_from, states_query

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_RECONNECT_SECONDS = 1.0
_CAPACITY = 50_000
# A loop that asks less often is not worth a connection: tests and scripts have such.
_ASKED_BEFORE_CONNECTING = 16


def read_results(ref: PollRef) -> "asyncio.Future[Reading]":
    """A reading with results, to be awaited on the event loop that asks.

    Raises:
        PollNotFound, Overloaded
    """
    if VENDOR != "postgresql" or draining.is_draining():
        return reader.ask(Question(ref, results=True))
    loop = asyncio.get_running_loop()
    found = _readers.get(loop)
    if found is None:
        found = _readers[loop] = LoopReader(loop)
    return found.ask(ref)


class LoopReader:
    """One connection of the event loop's own, and at most one query under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gathered: dict[PollRef, list[asyncio.Future[Reading]]] = {}
        self._asked: dict[PollRef, list[asyncio.Future[Reading]]] = {}
        self._connection: Any = None
        self._cursor: Any = None
        self._next: Callable[[], None] = self._make_ready  # once the connection is through
        self._is_ready = False
        self._connecting: asyncio.Task[None] | None = None
        self._watched: int | None = None  # the connection's file descriptor
        self._settled = asyncio.Event()  # ready, or failed
        self._waiting = 0
        self._rounds = 0

    def ask(self, ref: PollRef) -> "asyncio.Future[Reading]":
        future: asyncio.Future[Reading] = self._loop.create_future()
        if self._waiting >= _CAPACITY:
            future.set_exception(errors.Overloaded())
            return future
        self._waiting += 1
        if ref in self._gathered:
            self._gathered[ref].append(future)
            return future
        if not self._gathered and not self._asked:
            self._loop.call_soon(self._begin)
        self._gathered[ref] = [future]
        return future

    def close(self) -> None:
        """End the connection. Who waits is answered by the thread, who asks later too."""
        self._is_ready = False
        self._watch(None)
        if self._connection is not None:
            self._connection.close()
        self._connection = self._cursor = None
        for asked in (self._asked, self._gathered):
            for ref, futures in asked.items():
                _pass_on(ref, futures)
        self._asked, self._gathered = {}, {}
        self._waiting = 0

    # A round

    def _begin(self) -> None:
        if not self._is_ready:
            self._rounds += 1
            if self._connecting is None and self._rounds >= _ASKED_BEFORE_CONNECTING:
                self._connecting = self._loop.create_task(self._connect())
            for ref, futures in self._gathered.items():
                _pass_on(ref, futures)
            self._gathered, self._waiting = {}, 0
            return
        self._asked, self._gathered, self._waiting = self._gathered, {}, 0
        sql, parameters = states_query(self._asked)
        self._run(sql, parameters, self._answer)

    def _answer(self) -> None:
        rows = self._cursor.fetchall()
        now = datetime.now(UTC)
        states = {name: one for one in states_from(rows) for name in (one.id, one.code)}
        for ref, futures in self._asked.items():
            state = states.get(ref)
            if state is None:
                for future in futures:
                    if not future.done():
                        future.set_exception(errors.PollNotFound())
                continue
            quick = state.kind != Kind.RANKED and not state.needs_sealing(now)
            reading = reading_at_hand(state, now) if quick else None
            if reading is None:
                _pass_on(ref, futures)
                continue
            for future in futures:
                if not future.done():
                    future.set_result(reading)
        self._asked = {}
        if self._gathered:
            self._begin()

    # The connection

    async def _connect(self) -> None:
        self._settled.clear()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                # In a thread, for it looks up the host's name and waits for that.
                start = partial(psycopg2.connect, **connection.get_connection_params(), async_=True)
                self._connection = await self._loop.run_in_executor(None, start)
                self._next = self._make_ready
                self._go_on()
                await self._settled.wait()
        except Exception as error:
            self._fail(error)
        if not self._is_ready:
            await asyncio.sleep(_RECONNECT_SECONDS)
        self._connecting = None

    def _make_ready(self) -> None:
        register_default_jsonb(conn_or_curs=self._connection, loads=lambda text: text)
        self._run("SET TIME ZONE 'UTC'", [], self._be_ready)

    def _be_ready(self) -> None:
        self._is_ready = True
        self._settled.set()
        self._watch(self._connection.fileno())

    def _run(self, sql: str, parameters: list[str], then: Callable[[], None]) -> None:
        self._next = then
        try:
            self._cursor = self._connection.cursor()
            self._cursor.tzinfo_factory = _utc
            self._cursor.execute(sql, parameters)
        except psycopg2.Error as error:
            self._fail(error)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """As far as the connection goes without waiting."""
        if not self._is_ready:
            self._watch(None)  # while it connects, it may take another socket
        try:
            state = self._connection.poll()
            if state == extensions.POLL_OK:
                if self._asked or not self._is_ready:  # else a notice, while nobody asked
                    self._next()
            else:
                self._watch(self._connection.fileno(), also_write=state == extensions.POLL_WRITE)
        except Exception as error:  # whoever waits must be told, whatever happened
            self._fail(error)

    def _watch(self, descriptor: int | None, *, also_write: bool = False) -> None:
        """Call `_go_on` whenever there is something to read there."""
        if self._watched is not None and self._watched != descriptor:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
        if descriptor is not None:
            if self._watched != descriptor:
                self._loop.add_reader(descriptor, self._go_on)
            if also_write:
                self._loop.add_writer(descriptor, self._go_on)
            else:
                self._loop.remove_writer(descriptor)
        self._watched = descriptor

    def _fail(self, error: Exception) -> None:
        logger.info("results are read by the thread for now: %s", error)
        self.close()
        self._settled.set()


def _utc(_offset: object) -> tzinfo:
    return UTC


def _pass_on(ref: PollRef, futures: "list[asyncio.Future[Reading]]") -> None:
    """Let the thread answer."""

    def tell(answered: "asyncio.Future[Reading]") -> None:
        error = answered.exception()
        for future in futures:
            if future.done():
                continue
            if error is None:
                future.set_result(answered.result())
            else:
                future.set_exception(error)

    reader.ask(Question(ref, results=True)).add_done_callback(tell)


_readers: "WeakKeyDictionary[asyncio.AbstractEventLoop, LoopReader]" = WeakKeyDictionary()


def close_loop_reader() -> None:
    """End the connection of the event loop that runs."""
    found = _readers.pop(asyncio.get_running_loop(), None)
    if found is not None:
        found.close()
