"""Senders take turns; none fills the queue for the others."""

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from livepoll.fair_queue import FairQueue
from livepoll.request_threads import RequestThreads
from polls.errors import Overloaded


def filled(*senders: str) -> FairQueue[int, str]:
    queue: FairQueue[int, str] = FairQueue()
    for number, sender in enumerate(senders):
        queue.add(sender, number, f"{sender}{number}")
    return queue


def all_of(queue: FairQueue[int, str]) -> list[str]:
    return [queue.take()[1] for _ in range(len(queue))]


def test_one_sender_is_served_in_order() -> None:
    assert all_of(filled("a", "a", "a")) == ["a0", "a1", "a2"]


def test_senders_take_turns() -> None:
    assert all_of(filled("a", "a", "a", "b", "c", "b")) == ["a0", "b3", "c4", "a1", "b5", "a2"]


def test_who_was_served_stands_behind_who_comes_then() -> None:
    queue = filled("a", "a", "b")
    assert queue.take() == (0, "a0")
    queue.add("c", 9, "c9")
    assert all_of(queue) == ["b2", "a1", "c9"]


def test_what_is_discarded_is_gone_and_twice_is_no_matter() -> None:
    queue = filled("a", "b", "a")
    queue.discard(1)
    queue.discard(1)
    assert all_of(queue) == ["a0", "a2"]


def test_room_is_made_by_the_newest_of_who_has_most_down_to_equal_shares() -> None:
    queue = filled("a", "a", "a", "a", "b")
    assert queue.make_room_for("a") is None
    assert queue.make_room_for("c") == 3
    queue.add("c", 9, "c9")
    assert queue.make_room_for("c") == 2
    queue.add("c", 10, "c10")
    assert queue.make_room_for("c") is None
    assert queue.make_room_for("b") is None  # each of two has one more at most
    assert filled().make_room_for("a") is None


def test_a_sender_that_fills_the_queue_keeps_nobody_out() -> None:
    threads = RequestThreads("test", threads=1, waiting=4)
    go_on, began = threading.Event(), threading.Event()
    done: list[str] = []

    def hold() -> None:
        began.set()
        go_on.wait(20)

    def submit(name: str) -> "Future[Any]":
        return threads.submit(lambda: done.append(name), sender=name[0])

    try:
        threads.submit(hold, sender="a")
        assert began.wait(20)
        of_a = [submit(f"a{number}") for number in range(4)]
        with pytest.raises(Overloaded):
            submit("a4")
        of_b = [submit(f"b{number}") for number in range(2)]
        for given_up in of_a[2:]:
            with pytest.raises(Overloaded):
                given_up.result(20)
        with pytest.raises(Overloaded):
            submit("b2")
        go_on.set()
        for one in (*of_a[:2], *of_b):
            one.result(20)
    finally:
        go_on.set()
        threads.stop()
    assert done == ["a0", "b0", "a1", "b1"]
