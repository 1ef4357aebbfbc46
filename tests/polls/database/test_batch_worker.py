"""Whoever asks is answered, even when nobody can work."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from polls.database.batch_worker import BatchWorker, Pending


def double(numbers: Sequence[int]) -> Sequence[int | BaseException]:
    return [2 * number for number in numbers]


def worker() -> BatchWorker[int, int]:
    return BatchWorker("doubler", double, capacity=10, batch_size=10)


async def test_all_of_a_turn_are_answered_in_order() -> None:
    doubler = worker()
    asked = [doubler.ask(number) for number in range(5)]
    assert len(doubler) == 5
    assert [await one for one in asked] == [0, 2, 4, 6, 8]
    doubler.stop()


async def test_answers_of_a_batch_are_all_made_before_any_caller_goes_on() -> None:
    order: list[str] = []

    def respond(answer: int) -> str:
        order.append(f"respond {answer}")
        if answer == 2:
            raise LookupError(answer)
        return f"<{answer}>"

    async def ask(number: int) -> str:
        try:
            future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            doubler.gather(Pending(number, future, respond))
            return await future
        finally:
            order.append(f"on {2 * number}")

    doubler = worker()
    answers = await asyncio.gather(*map(ask, range(3)), return_exceptions=True)
    doubler.stop()
    assert [str(one) for one in answers] == ["<0>", "2", "<4>"]
    assert isinstance(answers[1], LookupError)
    assert order == ["respond 0", "respond 2", "respond 4", "on 0", "on 2", "on 4"]


async def test_without_a_thread_the_asker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    doubler = worker()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await doubler.ask(1)
    assert await doubler.ask(1) == 2
    doubler.stop()
