"""What lies in Redis is JSON: to read it runs nothing that another client wrote."""

import os
import pickle
from uuid import uuid4

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache

from livepoll.json_cache import JSONSerializer
from polls.models import Poll
from polls.results.cache import ResultsCache
from polls.rules.poll import PollState, Status
from polls.selectors import state_of
from polls.services import create_poll

RAN: list[str] = []


class Bomb:
    """Unpickled, it runs code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return RAN.append, ("boom",)


@pytest.fixture
def state(db: None) -> PollState:
    poll, _ = create_poll(question="Which?", options=["A", "B"])
    return state_of(Poll.objects.get(id=poll.id))


def encode(state: PollState, results: ResultsCache) -> bytes:
    return results.encoded([(state, Status.OPEN)], lambda _: {})[state.id]


def test_a_pickle_is_an_entry_that_is_not_there() -> None:
    serializer = JSONSerializer()
    assert serializer.loads(pickle.dumps(Bomb())) is None
    assert serializer.loads(pickle.dumps([1, "two"])) is None
    assert serializer.loads(serializer.dumps([1, "two", None])) == [1, "two", None]
    assert RAN == []


def test_results_are_shared_between_processes_as_they_were_made(state: PollState) -> None:
    made = encode(state, ResultsCache())
    assert encode(state, ResultsCache()) == made
    key = f"results:{state.id.hex}"
    order, *rest = cache.get(key)
    assert ([*order], rest) == ([*state.order], ["open", made.decode()])


@pytest.mark.parametrize("entry", [None, "text", [[1, 2], "open", "{}"], [[1, 1, 1], 7, "{}"]])
def test_an_entry_of_another_shape_is_made_anew(state: PollState, entry: object) -> None:
    cache.set(f"results:{state.id.hex}", entry, 60)
    assert b'"counts":' in encode(state, ResultsCache())


@pytest.mark.servers
def test_a_pickle_in_redis_is_never_read(state: PollState, redis_url: str) -> None:
    from redis import Redis

    shared: BaseCache = caches["default"]
    key = f"results:{state.id.hex}"
    with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        for name in (f"livepoll:1:{key}", shared.make_key(key)):
            redis.set(name, pickle.dumps(Bomb()), ex=60)
        assert b'"counts":' in encode(state, ResultsCache())
        assert redis.get(shared.make_key(key)).startswith(b"[[")
    assert RAN == []
    assert shared.get(f"nothing:{uuid4()}") is None
