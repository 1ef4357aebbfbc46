"""Calls of a script that are made together go to Redis together, each with its own answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from livepoll.counters import Counters, Limit
from livepoll.gathered_script import GatheredScript
from tests.limits.test_counters import GUESSES

pytestmark = pytest.mark.servers

ADD = "return redis.call('incrby', KEYS[1], ARGV[1])"


class CountingRedis(Redis):
    """Counts the pipelines that it was asked for."""

    pipelines = 0

    def pipeline(self, *args: Any, **options: Any) -> Any:
        self.pipelines += 1
        return super().pipeline(*args, **options)


@pytest.fixture
async def redis(settings: Any) -> AsyncIterator[CountingRedis]:
    redis: Any = CountingRedis.from_url(settings.REDIS_URL)
    async with redis:
        yield redis
        await redis.delete("gathered", "text")


@pytest.fixture
def add(redis: CountingRedis) -> GatheredScript:
    return GatheredScript(redis.register_script(ADD), redis)


async def test_calls_made_together_are_one_trip_and_each_has_its_answer(
    redis: CountingRedis, add: GatheredScript
) -> None:
    await add(["gathered"], [1])  # loads the script
    redis.pipelines = 0
    answers: list[Any] = await asyncio.gather(*(add(["gathered"], [10]) for _ in range(50)))
    assert answers == [1 + 10 * nth for nth in range(1, 51)]
    assert redis.pipelines == 1


async def test_one_that_fails_fails_alone(redis: CountingRedis, add: GatheredScript) -> None:
    await redis.set("text", "no number")
    calls = (add(["gathered"], [1]), add(["text"], [1]), add(["gathered"], [1]))
    answers: list[Any] = [*await asyncio.gather(*calls, return_exceptions=True)]
    assert isinstance(answers.pop(1), RedisError)
    assert answers == [1, 2]


async def test_a_redis_that_has_lost_the_script_gets_it_again(
    redis: CountingRedis, add: GatheredScript
) -> None:
    assert await add(["gathered"], [1]) == 1
    await redis.script_flush()
    both = add(["gathered"], [1]), add(["gathered"], [1])
    assert [*await asyncio.gather(*both)] == [2, 3]


async def test_who_gives_up_keeps_nobody_waiting(redis: CountingRedis, add: GatheredScript) -> None:
    impatient = asyncio.create_task(add(["gathered"], [1]))
    patient = asyncio.create_task(add(["gathered"], [1]))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 2


async def test_who_was_refused_is_not_asked_about_again_at_once(settings: Any) -> None:
    counters = Counters(settings.REDIS_URL)
    limit, key = Limit("refused", GUESSES.item), f"test {id(counters)}"
    try:
        assert [await counters.hit(limit, key) for _ in range(11)] == [True] * 10 + [False]
        shared, counters._shared = counters._shared, None  # Redis cannot be asked
        assert not await counters.hit(limit, key)
        assert await counters.hit(limit, f"{key} another")
        counters._shared = shared
    finally:
        await counters.close()
