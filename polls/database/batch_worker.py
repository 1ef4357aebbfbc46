"""One thread that answers many callers in batches, on one lasting database connection.

While a batch is under way the next one gathers, so batches grow with the load and no caller waits
for a timer.
"""

import asyncio
import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic

from django.db import connection

from polls.database.pending import Answer, Item, Pending, Settled, settle

logger = logging.getLogger(__name__)

Work = Callable[[Sequence[Item]], Sequence[Answer | BaseException]]


class BatchWorker(Generic[Item, Answer]):
    """Answers items in batches by `work`.

    Args:
        name: of the thread, for logs and profiles.
        work: gives one answer (or exception) an item, in their order; must not raise.
        batch_size: how many items a batch has at most.
    """

    def __init__(self, name: str, work: Work[Item, Answer], *, batch_size: int) -> None:
        self._name = name
        self._work = work
        self._batch_size = batch_size
        self._gathered: list[Pending[Item, Answer]] = []
        self._gathering_loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Pending[Item, Answer]] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._waiting) + len(self._gathered)

    def gather(self, pending: Pending[Item, Answer]) -> None:
        """Take this from an event loop: one iteration's items are handed over together."""
        loop = asyncio.get_running_loop()
        if not self._gathered or self._gathering_loop is not loop:
            self._gathering_loop = loop
            loop.call_soon(self._hand_over)
        self._gathered.append(pending)

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self.put(gathered)

    def put(self, pending: Sequence[Pending[Item, Answer]]) -> None:
        """Take these, from any thread; what comes together is answered together."""
        try:
            if self._thread is None:
                self._start()
        except Exception as error:  # no thread could be started
            logger.exception("%s cannot work", self._name)
            settle((one, error) for one in pending)
            return
        with self._changed:
            self._waiting.extend(pending)
            self._changed.notify()

    def stop(self) -> None:
        """Answer all that waits, close the connection, end the thread."""
        with self._starting:
            if self._thread is not None:
                with self._changed:
                    self._is_stopping = True
                    self._changed.notify()
                self._thread.join()
                self._thread, self._is_stopping = None, False

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while batch := self._next_batch():
            self._answer(batch)
        connection.close()

    def _next_batch(self) -> list[Pending[Item, Answer]]:
        """Empty when it is stopping and nothing waits."""
        with self._changed:
            while not (self._waiting or self._is_stopping):
                self._changed.wait()
            size = min(len(self._waiting), self._batch_size)
            return [self._waiting.popleft() for _ in range(size)]

    def _answer(self, batch: list[Pending[Item, Answer]]) -> None:
        answers: Sequence[Answer | BaseException]
        try:
            answers = self._work([pending.item for pending in batch])
            assert len(answers) == len(batch)
        except BaseException as error:  # callers must get every error, else they wait for ever
            logger.exception("a batch of %s failed", self._name)
            answers = [error] * len(batch)
        by_loop: dict[asyncio.AbstractEventLoop, list[Settled[Item, Answer]]] = defaultdict(list)
        for pending, answer in zip(batch, answers, strict=True):
            if isinstance(pending.future, Future):
                settle([(pending, answer)])
            else:
                by_loop[pending.future.get_loop()].append((pending, answer))
        for loop, settled in by_loop.items():
            try:
                loop.call_soon_threadsafe(settle, settled)
            except RuntimeError:  # the loop has closed, and its callers with it
                logger.info("%s: %d callers have gone", self._name, len(settled))
