"""Every caller is answered, in batches, even when nothing can work."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from polls.database.batches import Batches
from polls.errors import Overloaded


def double(numbers: Sequence[int]) -> Sequence[int | BaseException]:
    return [2 * number for number in numbers]


@pytest.fixture
def doubler() -> Iterator[Batches[int, int]]:
    async def leave_all(_: object, batch: list[object]) -> list[object]:
        return batch

    found: Batches[int, int] = Batches(
        "doubler", double, lambda: leave_all, capacity=10, batch_size=10  # type: ignore[arg-type,return-value]
    )  # fmt: skip
    yield found
    found.stop()


async def test_all_of_a_turn_are_answered_in_order(doubler: Batches[int, int]) -> None:
    asked = [doubler.ask(number) for number in range(5)]
    assert len(doubler) == 5
    assert [await one for one in asked] == [0, 2, 4, 6, 8]


async def test_answers_of_a_batch_are_all_made_before_any_caller_goes_on(
    doubler: Batches[int, int],
) -> None:
    order: list[str] = []

    def convert(answer: int) -> str:
        order.append(f"convert {answer}")
        if answer == 2:
            raise LookupError(answer)
        return f"<{answer}>"

    async def ask(number: int) -> str:
        try:
            return str(await doubler.ask(number, convert))
        finally:
            order.append(f"on {2 * number}")

    answers = await asyncio.gather(*map(ask, range(3)), return_exceptions=True)
    assert [str(one) for one in answers] == ["<0>", "2", "<4>"]
    assert isinstance(answers[1], LookupError)
    assert order == ["convert 0", "convert 2", "convert 4", "on 0", "on 2", "on 4"]


async def test_no_more_wait_than_there_is_room_for(doubler: Batches[int, int]) -> None:
    answers = await asyncio.gather(*map(doubler.ask, range(11)), return_exceptions=True)
    assert answers[:10] == [2 * number for number in range(10)]
    assert isinstance(answers[10], Overloaded)


def test_a_thread_asks_without_an_event_loop(doubler: Batches[int, int]) -> None:
    assert doubler.ask_sync(21) == 42
    doubler.capacity = 0
    with pytest.raises(Overloaded):
        doubler.ask_sync(21)


async def test_without_a_thread_the_caller_gets_the_error(
    doubler: Batches[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await doubler.ask(1)
    assert await doubler.ask(1) == 2
