"""An answer that many requests share."""

import asyncio

import pytest

from livepoll.shared_answer import SharedAnswer, SharedAnswers


class Question:
    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()

    async def ask(self) -> int:
        self.asked += 1
        await self.go_on.wait()
        if self.asked == 1:
            raise LookupError
        return self.asked


async def test_who_comes_meanwhile_waits_for_the_same_and_a_failure_is_not_kept() -> None:
    question = Question()
    shared = SharedAnswer(question.ask, max_age_seconds=1000.0)
    waiting = [asyncio.create_task(shared.get()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    question.go_on.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in found] == [LookupError] * 4
    assert [await shared.get() for _ in range(5)] == [2] * 5
    shared.forget()
    assert await shared.get() == 3


async def test_without_an_age_each_that_comes_later_asks() -> None:
    question = Question()
    question.go_on.set()
    shared = SharedAnswer(question.ask)
    with pytest.raises(LookupError):
        await shared.get()
    assert [await shared.get(), await shared.get()] == [2, 3]


async def test_by_key_each_answer_is_made_once_for_all_who_wait() -> None:
    question, other = Question(), Question()
    other.asked = 1
    shared: SharedAnswers[int] = SharedAnswers()
    first, *waiting = (asyncio.create_task(shared.get("one", question.ask)) for _ in range(5))
    apart = asyncio.create_task(shared.get("other", other.ask))
    await asyncio.sleep(0)
    first.cancel()
    question.go_on.set()
    other.go_on.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in found] == [LookupError] * 4
    assert await apart == 2
    assert [await shared.get("one", question.ask) for _ in range(2)] == [2, 3]
    assert question.asked == 3
