"""A batch whose database is away for a moment, or for longer, and one with an item that breaks."""

from collections.abc import Sequence

import pytest
from django.db import OperationalError, connection

from polls.database.healing import answer_each
from polls.errors import Overloaded, ServerError


class Doubler:
    """Doubles numbers; fails as often as it is said to, and whenever a 3 is among them."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.batches: list[Sequence[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(numbers)
        if self.failures:
            self.failures -= 1
            raise OperationalError("away")
        if 3 in numbers:
            raise RuntimeError("a bug")
        return [2 * number for number in numbers]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each connection that was given up."""
    found: list[bool] = []
    monkeypatch.setattr(connection, "close", lambda: found.append(True))
    return found


def test_what_was_away_for_a_moment_is_asked_again_on_a_new_connection(closed: list[bool]) -> None:
    work = Doubler(failures=1)
    assert answer_each(work, [1, 2]) == [2, 4]
    assert (work.batches, closed) == ([[1, 2]] * 2, [True])


def test_what_stays_away_is_overloaded_for_each_and_says_why(closed: list[bool]) -> None:
    work = Doubler(failures=3)
    answers = answer_each(work, [1, 2])
    assert [type(one) for one in answers] == [Overloaded] * 2
    assert {str(one.__cause__) for one in answers if isinstance(one, Overloaded)} == {"away"}
    assert (len(work.batches), len(closed)) == (2, 2)


@pytest.mark.parametrize("place", range(5))
def test_an_item_that_breaks_takes_no_neighbour_down(place: int, closed: list[bool]) -> None:
    numbers = [1, 2, 4, 5]
    numbers.insert(place, 3)
    answers = answer_each(Doubler(), numbers)
    assert isinstance(answers.pop(place), ServerError)
    assert answers == [2, 4, 8, 10]
    assert not closed


def test_work_that_breaks_without_items_ends() -> None:
    assert answer_each(Doubler(failures=1), []) == []
    assert answer_each(lambda _: 1 // 0, []) == []  # type: ignore[arg-type,return-value]
