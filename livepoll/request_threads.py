"""Lasting threads for what is synchronous: Django's requests, streams, the readiness check.

Each keeps its database connections between requests, so a process has as many as it has threads.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from django.db import connections

from livepoll.fair_queue import FairQueue
from polls.errors import Overloaded

Result = TypeVar("Result")
Work = Callable[[], Any]

_STOP_SECONDS = 5.0


class RequestThreads:
    """At most `threads` threads, started as they are needed, and a bounded queue before them, in
    which senders take turns.

    Args:
        name: of the threads, for logs and profiles.
        threads: how many there are at most, and so database connections.
        waiting: how much work may wait for a thread.
        niceness: how much the threads stand back where the event loop wants the same core (nice(2);
            on Linux, where a thread has one of its own).
    """

    def __init__(self, name: str, *, threads: int, waiting: int, niceness: int = 0) -> None:
        self._name = name
        self._niceness = niceness
        self._most = threads
        self._capacity = waiting
        self._changed = threading.Condition()
        self._waiting: FairQueue[Future[Any], Work] = FairQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._is_stopping = False

    def __len__(self) -> int:
        """How much work waits for a thread."""
        return len(self._waiting)

    def submit(self, work: Callable[[], Result], *, sender: str = "") -> "Future[Result]":
        """What `work` returns, on a thread. Cancelled before it began, it never begins.

        Args:
            sender: whose it is. Where the queue is full, the newest work of who has most in it
                makes room for who has less: its future raises Overloaded.
        Raises:
            Overloaded: too much waits; nothing was done.
        """
        future: Future[Result] = Future()
        given_up: Future[Any] | None = None
        with self._changed:
            if len(self._waiting) + self._busy >= self._most + self._capacity:
                given_up = self._waiting.make_room_for(sender)
                if given_up is None:
                    raise _too_many()
            self._waiting.add(sender, future, work)
            idle = len(self._threads) - self._busy
            if len(self._waiting) > idle and len(self._threads) < self._most:
                self._start()
            self._changed.notify()
        future.add_done_callback(self._forget)
        if given_up is not None and given_up.set_running_or_notify_cancel():
            given_up.set_exception(_too_many())
        return future

    def stop(self) -> None:
        """Finish what waits, close the connections, end the threads; work that comes later starts
        new ones. A thread whose work does not end within 5 s is left behind."""
        with self._changed:
            self._is_stopping = True
            threads, self._threads = self._threads, []
            self._changed.notify_all()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            self._is_stopping = False

    def _start(self) -> None:
        thread = threading.Thread(
            target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _forget(self, future: "Future[Any]") -> None:
        if future.cancelled():
            with self._changed:
                self._waiting.discard(future)

    def _run(self) -> None:
        if sys.platform == "linux" and self._niceness:
            before = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), before + self._niceness)
        while (work := self._next()) is not None:
            _do(*work)
            del work  # nothing of a request stays while the thread rests
            with self._changed:
                self._busy -= 1
        connections.close_all()

    def _next(self) -> tuple["Future[Any]", Work] | None:
        this = threading.current_thread()
        with self._changed:
            while not self._waiting:
                if self._is_stopping or this not in self._threads:
                    if this in self._threads:
                        self._threads.remove(this)
                    return None
                self._changed.wait()
            self._busy += 1
            return self._waiting.take()


def _too_many() -> Overloaded:
    return Overloaded("Too many requests wait; try again.")


def _do(future: "Future[Any]", work: Work) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # else the caller waits for ever
        future.set_exception(error)
    else:
        future.set_result(result)
