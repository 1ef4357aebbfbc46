"""Results read on the event loop itself: the group reader without its thread.

The same promise: whoever asks before a round begins is answered from a query made after. A
round costs two system calls and no hand-over of the interpreter's lock, which for a read is
a quarter of all it costs. It only ever answers what is quickly answered, and passes on
everything else to `results.reader`: kinds that need ballots, polls to be sealed, results that this
process has not at hand, and all while its connection is away. PostgreSQL only.
"""

import asyncio
import logging
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from polls import draining, errors
from polls.refs import PollRef
from polls.results.reader import Question, Reading, reader, reading_at_hand
from polls.rules.kinds import KINDS
from polls.voting.columns import VENDOR
from polls.voting.loop_connection import Answer
from polls.voting.loop_postgresql import LoopPostgresql
from polls.voting.state_rows import states_from, states_query

logger = logging.getLogger(__name__)

_CAPACITY = 50_000


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
        self._connection = LoopPostgresql(loop, self._fail)
        self._gathered: dict[PollRef, list[asyncio.Future[Reading]]] = {}
        self._asked: dict[PollRef, list[asyncio.Future[Reading]]] = {}
        self._waiting = 0

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
        self._connection.close()
        for asked in (self._asked, self._gathered):
            for ref, futures in asked.items():
                _pass_on(ref, futures)
        self._asked, self._gathered = {}, {}
        self._waiting = 0

    def _begin(self) -> None:
        if not self._connection.is_ready:
            self._connection.prepare()
            for ref, futures in self._gathered.items():
                _pass_on(ref, futures)
            self._gathered, self._waiting = {}, 0
            return
        self._asked, self._gathered, self._waiting = self._gathered, {}, 0
        self._connection.run([states_query(self._asked)], self._answer)

    def _answer(self, answer: Answer) -> None:
        now = datetime.now(UTC)
        states = {name: one for one in states_from(answer.rows) for name in (one.id, one.code)}
        for ref, futures in self._asked.items():
            state = states.get(ref)
            if state is None:
                for future in futures:
                    if not future.done():
                        future.set_exception(errors.PollNotFound())
                continue
            quick = not (KINDS[state.kind].needs_ballots or state.needs_sealing(now))
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

    def _fail(self, error: Exception) -> None:
        logger.info("results are read by the thread for now: %s", error)
        self.close()


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
