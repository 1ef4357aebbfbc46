"""A database connection of an event loop's own, on which nothing waits.

A trip costs a few system calls and no hand-over of the interpreter's lock, which a thread
would have to win back after each statement. Whatever goes wrong ends the connection, which
undoes whatever was not committed; its user then turns to a thread, which knows how to heal.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from polls.voting.statement import Rows, Statement

_CONNECT_SECONDS = 10.0
_RECONNECT_SECONDS = 1.0
_LONGEST_REST_SECONDS = 30.0
# A loop that asks less often is not worth a connection: tests and scripts have such.
_ASKED_BEFORE_CONNECTING = 16


class Answer(NamedTuple):
    """What a trip's last statement says it did, and what was selected: on PostgreSQL by that, on
    SQLite by the last that selects."""

    rows: Rows
    done: str = ""


Then = Callable[[Answer], None]
Otherwise = Callable[[], None]


class LoopConnection(ABC):
    """Makes one trip at a time.

    Args:
        on_failure: told when the connection failed and is no more; not when it is closed.
    """

    FORBIDDEN: ClassVar[type[Exception]]  # by a constraint

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_failure: Callable[[Exception], None]
    ) -> None:
        self._loop = loop
        self._on_failure = on_failure
        self._then: Then | None = None  # takes the answer that is under way
        self._otherwise: Otherwise | None = None
        self._is_ready = False
        self._asked = 0
        self._connecting: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self._rest = _RECONNECT_SECONDS
        self._watched: int | None = None  # the file descriptor of the connection
        self._is_writing = False
        self._settled = asyncio.Event()  # ready, or failed

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    @property
    @abstractmethod
    def other_end(self) -> int:
        """The id of the process that does the work."""

    def prepare(self) -> None:
        """Somebody would have liked to use it: when that happened often enough, connect."""
        self._asked += 1
        if (
            self._asked >= _ASKED_BEFORE_CONNECTING
            and self._connecting is None
            and self._loop.time() >= self._retry_at
        ):
            self._connecting = self._loop.create_task(self._connect())

    def run(
        self, statements: Sequence[Statement], then: Then, otherwise: Otherwise | None = None
    ) -> None:
        """Run these; `then` is given the last answer, unless anything fails.

        Args:
            otherwise: says that they are a transaction of their own; called where a constraint
                forbids it, which is no failure.
        """
        try:
            self._then, self._otherwise = then, otherwise
            self._send(statements)
        except Exception as error:
            self.fail(error)
        else:
            self._go_on()

    def fail(self, error: Exception) -> None:
        """End the connection; who tries in vain waits twice as long each time."""
        self._retry_at = self._loop.time() + self._rest
        self._rest = min(2 * self._rest, _LONGEST_REST_SECONDS)
        try:
            self._end()
        finally:
            self._settled.set()
            self._on_failure(error)

    def close(self) -> None:
        """End the connection, and with it whatever is under way."""
        if self._connecting is not None and not self._loop.is_closed():
            self._connecting.cancel()
            self._connecting = None
        self._end()

    # What each database does in its own way

    @abstractmethod
    async def _open(self) -> None:
        """Connect, make a first trip, and after it `_be_ready`."""

    @abstractmethod
    def _send(self, statements: Sequence[Statement]) -> None:
        """Begin a trip."""

    @abstractmethod
    def _poll(self) -> Answer | None:
        """The answer, as far as that goes without waiting; else `_watch` what to wait for."""

    @abstractmethod
    def _disconnect(self, *, gives_up: bool) -> None:
        """
        Args:
            gives_up: while a transaction is under way that its database may yet commit.
        """

    # What is the same

    async def _connect(self) -> None:
        self._settled.clear()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._open()
                await self._settled.wait()
        except Exception as error:
            self.fail(error)
        self._connecting = None

    def _be_ready(self, _: Answer) -> None:
        self._is_ready = True
        self._rest = _RECONNECT_SECONDS
        self._settled.set()

    def _end(self) -> None:
        gives_up = self._otherwise is not None
        self._is_ready = False
        self._then = self._otherwise = None
        self._watch(None)
        self._disconnect(gives_up=gives_up)

    def _go_on(self) -> None:
        """As far as the connection goes without waiting."""
        try:
            answer = self._answer()
            if answer is not None and self._then is not None:
                then, self._then, self._otherwise = self._then, None, None
                then(answer)
        except Exception as error:  # whoever waits must be told, whatever happened
            self.fail(error)

    def _answer(self) -> Answer | None:
        try:
            return self._poll()
        except self.FORBIDDEN:
            if self._otherwise is None:
                raise
        otherwise, self._otherwise, self._then = self._otherwise, None, None
        otherwise()
        return None

    def _watch(self, descriptor: int | None, *, also_write: bool = False) -> None:
        """Call `_go_on` whenever there is something to read there."""
        if self._watched is not None and self._watched != descriptor:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._watched)
                self._loop.remove_writer(self._watched)
            self._is_writing = False
        if descriptor is not None:
            if self._watched != descriptor:
                self._loop.add_reader(descriptor, self._go_on)
            if also_write and not self._is_writing:
                self._loop.add_writer(descriptor, self._go_on)
            elif self._is_writing and not also_write:
                self._loop.remove_writer(descriptor)
            self._is_writing = also_write
        self._watched = descriptor
