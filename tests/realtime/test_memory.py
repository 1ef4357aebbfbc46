"""When a process stops to give memory back."""

from itertools import pairwise

import pytest

from realtime.memory import Releases

pytestmark = pytest.mark.above_databases


def due(a_second: int, seconds: range, *, staying: int, releases: Releases) -> list[int]:
    """In which seconds a release is due while so many sockets leave in each."""
    found = []
    for now in seconds:
        for _ in range(a_second):
            releases.note_leaving()
        if releases.is_due(staying, now):
            found.append(now)
    return found


def test_memory_is_given_back_once_a_crowd_has_left() -> None:
    releases = Releases()
    assert due(1_000, range(5), staying=100, releases=releases) == []
    assert due(0, range(5, 10), staying=100, releases=releases) == [5]


def test_clients_that_come_and_go_stop_no_process() -> None:
    assert due(60, range(1_000), staying=500, releases=Releases()) == []


def test_slow_leaving_stops_it_once_a_minute_at_most() -> None:
    found = due(20, range(600), staying=100, releases=Releases())
    assert found
    assert all(later - earlier >= 60 for earlier, later in pairwise(found))


def test_a_few_that_leave_of_many_are_not_worth_it() -> None:
    assert due(10, range(900), staying=10_000, releases=Releases()) == []
