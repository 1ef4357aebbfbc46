"""What other processes get: the newest tally, paced, and never at a voter's cost."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from realtime import messages, publisher
from tests.poll_api import PollApi
from tests.realtime.asgi_socket import AsgiSocket
from tests.realtime.waiting import eventually


class ListeningLayer:
    """Takes down what is sent to groups, and when; may hang or raise over it."""

    def __init__(self) -> None:
        self.way = "works"
        self.sent: list[tuple[float, dict[str, Any]]] = []

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.sent.append((asyncio.get_running_loop().time(), message))
        assert group == messages.group(UUID(message["poll"]))
        if self.way == "hangs":
            await asyncio.Event().wait()
        if self.way == "raises":
            raise ConnectionError("the layer is away")

    @property
    def versions(self) -> list[int]:
        return [message["version"] for _, message in self.sent if "version" in message]


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> ListeningLayer:
    layer = ListeningLayer()
    monkeypatch.setattr(publisher, "get_channel_layer", lambda: layer)
    return layer


async def vote_for_a_while(api: PollApi, poll: dict[str, Any], votes: int) -> None:
    for number in range(votes):
        await api.vote(poll, 1, voter=f"voter {number}")


async def test_other_processes_get_the_newest_tally_at_most_every_interval(
    api: PollApi, layer: ListeningLayer
) -> None:
    poll = await api.create()
    await vote_for_a_while(api, poll, 60)
    await eventually(lambda: layer.versions[-1] == 60)
    assert layer.versions[0] == 1
    assert layer.versions == sorted(set(layer.versions))
    times = [at for at, _ in layer.sent]
    assert len(times) <= 2 + (times[-1] - times[0]) / 0.1
    assert layer.sent[-1][1]["counts"] == {"1": 60, "2": 0, "3": 0}


@pytest.mark.parametrize("way", ["hangs", "raises"])
async def test_a_layer_that_fails_costs_neither_votes_nor_the_screens_of_this_process(
    api: PollApi, layer: ListeningLayer, way: str
) -> None:
    layer.way = way
    poll = await api.create()
    async with AsgiSocket(f"/ws/polls/{poll['id']}/") as socket:
        await socket.next_of("snapshot")
        async with asyncio.timeout(2):
            await vote_for_a_while(api, poll, 20)
            frame = await socket.results_at(20)
            assert frame["voters"] == 20
            await api.act(poll, "close")
            await socket.next_of("poll")


async def test_after_a_hang_the_newest_tally_goes_out(
    api: PollApi, layer: ListeningLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_SEND_TIMEOUT_SECONDS", 0.3)
    layer.way = "hangs"
    poll = await api.create()
    await vote_for_a_while(api, poll, 5)
    layer.way = "works"
    await eventually(lambda: layer.versions[-1] == 5)


@pytest.mark.parametrize("act", ["close", "reset", "delete"])
async def test_acts_of_the_owner_are_published_at_once(
    api: PollApi, layer: ListeningLayer, act: str
) -> None:
    poll = await api.create()
    if act == "delete":
        await api.delete(poll)
    else:
        await api.act(poll, act)
    await eventually(lambda: layer.sent)
    assert layer.sent[-1][1]["type"] == messages.POLL
    assert layer.sent[-1][1]["deleted"] is (act == "delete")


async def test_a_loop_without_a_hub_publishes_too_and_does_not_wait(
    layer: ListeningLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "hub_if_running", lambda: None)
    poll_id = uuid4()
    publisher.publisher.on_poll_changed(poll_id, deleted=False)
    assert layer.sent == []
    await eventually(lambda: [one["poll"] for _, one in layer.sent] == [poll_id.hex])
