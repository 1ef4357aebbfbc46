"""One thread that answers many askers at once: whoever waits shares the next round.

While a round is under way the next one gathers, so rounds grow with the load and nobody
waits for a timer. The thread has one lasting database connection of its own. Bounded:
when `capacity` wait already, an asker is refused at once.
"""

import asyncio
import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar, overload

from django.db import connection

from polls.errors import Overloaded

logger = logging.getLogger(__name__)

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Finished = TypeVar("Finished")
# What whoever asked makes of the answer.
Finish = Callable[[Answer], Any]
AnyFuture = asyncio.Future[Any] | Future[Any]
Asked = tuple[Question, AnyFuture, Finish[Answer]]
_Settled = tuple[AnyFuture, Finish[Answer], Answer | BaseException]


def _as_it_is(answer: Answer) -> Answer:
    return answer


class GroupWorker(Generic[Question, Answer]):
    """Answers questions in rounds by `work`, which must not raise and keeps the order.

    Args:
        name: of the thread, for logs and profiles.
        work: one answer (or exception) a question.
        capacity: how many may wait.
        round_size: how many one round takes at most.
        on_full: called for each asker who is refused.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Question]], Sequence[Answer | BaseException]],
        *,
        capacity: int,
        round_size: int,
        on_full: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._work = work
        self._capacity = capacity
        self._round_size = round_size
        self._on_full = on_full
        self._gathered: list[Asked[Question, Answer]] = []
        self._gathering_loop: asyncio.AbstractEventLoop | None = None
        self._waiting: queue.SimpleQueue[Asked[Question, Answer] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting.qsize() + len(self._gathered)

    @overload
    def ask(self, question: Question) -> "asyncio.Future[Answer]": ...

    @overload
    def ask(
        self, question: Question, finish: Callable[[Answer], Finished]
    ) -> "asyncio.Future[Finished]": ...

    def ask(self, question: Question, finish: Finish[Answer] = _as_it_is) -> "asyncio.Future[Any]":
        """The answer to `question`, to be awaited on the event loop that asks.

        Args:
            finish: what is made of the answer, there, before anybody of the same round goes
                on. What it raises is raised where the answer is awaited.
        Raises:
            Overloaded: too many wait; nothing was done.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if len(self) < self._capacity:
            self._gather((question, future, finish), loop)
        else:
            future.set_exception(self._refusal())
        return future

    def ask_sync(self, question: Question) -> Answer:
        """The same from any other thread."""
        if len(self) >= self._capacity:
            raise self._refusal()
        future: Future[Answer] = Future()
        self._put([(question, future, _as_it_is)])
        return future.result()

    def stop(self) -> None:
        """Answer all who wait, close the connection, end the thread."""
        with self._starting:
            if self._thread is not None:
                self._waiting.put(None)
                self._thread.join()
                self._thread = None

    def _refusal(self) -> Overloaded:
        if self._on_full is not None:
            self._on_full()
        return Overloaded()

    def _gather(self, asked: Asked[Question, Answer], loop: asyncio.AbstractEventLoop) -> None:
        if not self._gathered or self._gathering_loop is not loop:
            self._gathering_loop = loop
            loop.call_soon(self._hand_over)
        self._gathered.append(asked)

    def _hand_over(self) -> None:
        """Give the thread, in one go, all that was asked in one turn of the event loop."""
        gathered, self._gathered = self._gathered, []
        self._take_over(gathered)

    def _take_over(self, asked: "Sequence[Asked[Question, Answer]]") -> None:
        """Let the thread answer these, who were let in already."""
        try:
            self._put(asked)
        except Exception as error:  # no thread could be started: whoever waits must be told
            logger.exception("%s cannot work", self._name)
            for _, future, _ in asked:
                if not future.done():
                    future.set_exception(error)

    def _put(self, asked: "Sequence[Asked[Question, Answer]]") -> None:
        if self._thread is None:
            self._start()
        for one in asked:
            self._waiting.put(one)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        stopping = False
        while not stopping:
            item = self._waiting.get()
            gathered = []
            while True:
                if item is None:
                    stopping = True
                    break
                gathered.append(item)
                if len(gathered) == self._round_size:
                    break
                try:
                    item = self._waiting.get_nowait()
                except queue.Empty:
                    break
            if gathered:
                self._answer(gathered)
        connection.close()

    def _answer(self, gathered: "list[Asked[Question, Answer]]") -> None:
        answers: Sequence[Answer | BaseException]
        try:
            answers = self._work([question for question, _, _ in gathered])
        except BaseException as error:  # whoever waits must be told, whatever happened
            logger.exception("a round of %s failed", self._name)
            answers = [error] * len(gathered)
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled[Answer]]] = defaultdict(list)
        for (_, future, finish), answer in zip(gathered, answers, strict=True):
            if isinstance(future, Future):
                _settle_one(future, finish, answer)
            else:
                by_loop[future.get_loop()].append((future, finish, answer))
        for loop, settled in by_loop.items():
            try:
                loop.call_soon_threadsafe(settle, settled)
            except RuntimeError:  # the loop has closed: nobody waits there any more
                logger.info("%s: %d askers have gone", self._name, len(settled))


def settle(settled: Iterable[_Settled[Answer]]) -> None:
    """Give each asker the answer, on their event loop, once all are finished."""
    for future, finish, answer in settled:
        if not future.done():
            _settle_one(future, finish, answer)


def _settle_one(future: AnyFuture, finish: Finish[Answer], answer: Answer | BaseException) -> None:
    if isinstance(answer, BaseException):
        future.set_exception(answer)
        return
    try:
        future.set_result(finish(answer))
    except Exception as error:  # whoever waits must be told, whatever happened
        future.set_exception(error)
