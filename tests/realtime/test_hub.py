"""The rooms of one process: opened once, left always, right again after any loss of the layer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pytest_django.fixtures import Settings

from polls.errors import Overloaded, PollNotFound
from polls.identity.voters import Identity
from polls.results.changes import Changes
from polls.results.reader import PollQuery, Reading
from polls.rules.poll import PollState
from polls.voting.vote import StoredVote
from realtime import hub as hub_module
from realtime import messages, metrics
from realtime.hub import Hub
from realtime.room import Room
from tests.realtime.factories import MADE_AT, POLL_ID, FakeClient, make_reading, make_state
from tests.realtime.waiting import eventually

StartHub = Callable[[], Hub]


class FakeReader:
    """The database behind the hub."""

    def __init__(self) -> None:
        self.states = {POLL_ID: make_state()}
        self.details_read = 0
        self.compared: list[int] = []  # how many polls, by question
        self.asked_who_voted = 0
        self.votes: dict[UUID, StoredVote] = {}
        self.is_away = False
        self.refused = 0

    async def read(self, query: PollQuery) -> Reading:
        self.details_read += query.details
        self.asked_who_voted += query.identity is not None
        await asyncio.sleep(0.005)
        if self.is_away:
            self.refused += 1
            raise Overloaded
        for state in self.states.values():
            if query.ref in (state.id, state.code):
                vote = self.votes.get(state.id) if query.identity else None
                return make_reading(state)._replace(vote=vote)
        raise PollNotFound

    async def read_changes(self, known: Sequence[PollState]) -> Changes:
        self.compared.append(len(known))
        await asyncio.sleep(0.005)
        if self.is_away:
            self.refused += 1
            raise Overloaded
        found = [self.states[one.id] for one in known if one.id in self.states]
        before = {one.id: one for one in known}
        return Changes(
            [state for state in found if state.order != before[state.id].order],
            [one.id for one in known if one.id not in self.states],
        )

    def add_polls(self, number: int) -> list[UUID]:
        ids = [uuid4() for _ in range(number)]
        self.states |= {id: make_state(id=id, code=f"{place:06}") for place, id in enumerate(ids)}
        return ids

    def write(self, **changes: Any) -> PollState:
        self.states[POLL_ID] = make_state(**changes)
        return self.states[POLL_ID]


class FakeLayer:
    """A channel layer that can lose, hang or fail."""

    way = "works"

    def __init__(self) -> None:
        self.groups: dict[str, set[str]] = {}
        self.queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self.joins_tried = 0
        self.sent: list[tuple[str, dict[str, Any]]] = []

    async def _misbehave(self) -> None:
        if self.way == "hangs":
            await asyncio.Event().wait()
        if self.way == "raises":
            raise ConnectionError("the layer is away")

    async def new_channel(self) -> str:
        await self._misbehave()
        channel = f"channel {len(self.queues)}"
        self.queues[channel] = asyncio.Queue()
        return channel

    async def receive(self, channel: str) -> dict[str, Any]:
        await self._misbehave()
        return await self.queues[channel].get()

    async def group_add(self, group: str, channel: str) -> None:
        self.joins_tried += 1
        if self.way == "refuses joins":
            raise ConnectionError(self.way)
        await self._misbehave()
        self.groups.setdefault(group, set()).add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._misbehave()
        self.groups.get(group, set()).discard(channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._misbehave()
        self.sent.append((group, message))
        if self.way != "loses":
            for channel in self.groups.get(group, ()):
                self.queues[channel].put_nowait(message)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    reader = FakeReader()
    monkeypatch.setattr(hub_module, "reader", reader)
    return reader


@pytest.fixture
async def layer() -> FakeLayer:
    """The hub's layer; its `way` may be set to `loses`, `hangs` or `raises`."""
    return FakeLayer()


@pytest.fixture
async def start_hub(
    monkeypatch: pytest.MonkeyPatch, database: FakeReader, settings: Settings, layer: FakeLayer
) -> AsyncIterator[StartHub]:
    """A function that starts a hub."""
    settings.RECONCILE_INTERVAL_MS = 100
    monkeypatch.setattr(hub_module, "_LAYER_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(hub_module, "_LAYER_RETRY_SECONDS", 0.05)
    hubs: list[Hub] = []

    monkeypatch.setattr(hub_module, "get_channel_layer", lambda: layer)

    def start() -> Hub:
        hubs.append(Hub())
        return hubs[-1]

    yield start
    for hub in hubs:
        await hub.stop()


async def watch(hub: Hub, ref: UUID | str = POLL_ID) -> tuple[Room, FakeClient]:
    client = FakeClient()
    room = await hub.join(ref)
    room.add(client.watcher)
    return room, client


def shows(client: FakeClient, version: int) -> Callable[[], bool]:
    return lambda: bool(client.tallies) and client.tallies[-1]["version"] == version


async def test_five_hundred_who_come_at_once_cost_one_read(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader
) -> None:
    layer.way = "hangs"
    hub = start_hub()  # so that no subscription reads a second time
    rooms = await asyncio.gather(*(hub.join(POLL_ID) for _ in range(500)))
    assert len(set(map(id, rooms))) == 1
    assert database.details_read == 1


async def test_the_code_and_the_id_lead_to_one_room(start_hub: StartHub) -> None:
    hub = start_hub()
    by_code, by_id = await asyncio.gather(hub.join("K7QM2X"), hub.join(POLL_ID))
    assert by_code is by_id
    assert await hub.join("K7QM2X") is by_id


async def test_an_unknown_poll_is_refused_and_asked_for_again_next_time(
    start_hub: StartHub, database: FakeReader
) -> None:
    hub = start_hub()
    unknown = uuid4()
    for _ in range(2):
        with pytest.raises(PollNotFound):
            await hub.join(unknown)
    assert database.details_read == 2


async def test_one_who_gives_up_waiting_does_not_spoil_the_join_of_others(
    start_hub: StartHub,
) -> None:
    hub = start_hub()
    joins = [asyncio.create_task(hub.join(POLL_ID)) for _ in range(3)]
    await asyncio.sleep(0)
    joins[0].cancel()
    rooms = await asyncio.gather(*joins[1:])
    assert rooms[0] is rooms[1]


@pytest.mark.parametrize("way", ["loses", "hangs", "raises"])
async def test_what_the_layer_loses_arrives_by_comparing_with_the_database(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader, way: str
) -> None:
    layer.way = way
    hub = start_hub()
    async with asyncio.timeout(1):
        _, client = await watch(hub)
    database.write(version=8)
    await eventually(shows(client, 8))
    database.write(version=8, revision=2, closed_at=MADE_AT)
    await eventually(lambda: client.tallies[-1]["final"])
    assert client.of_type("poll")[-1]["poll"]["status"] == "closed"


async def test_a_message_of_another_process_is_shown_at_once(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader, settings: Settings
) -> None:
    settings.RECONCILE_INTERVAL_MS = 60_000
    hub = start_hub()
    _, client = await watch(hub)
    await eventually(lambda: layer.groups.get(messages.group(POLL_ID)))
    await layer.group_send(messages.group(POLL_ID), messages.tally(make_state(version=3)))
    await eventually(shows(client, 3))


async def until_only_beats_read(database: FakeReader, rooms: int) -> None:
    """Wait until each room was read the second time, as it is once it is subscribed."""
    await eventually(lambda: database.details_read == 2 * rooms)
    database.compared.clear()
    await eventually(lambda: len(database.compared) >= 2)


async def watch_all(hub: Hub, ids: Sequence[UUID]) -> list[Room]:
    return [room for room, _ in await asyncio.gather(*(watch(hub, id) for id in ids))]


async def test_the_database_is_asked_once_a_beat_however_many_rooms_there_are(
    start_hub: StartHub, database: FakeReader, layer: FakeLayer
) -> None:
    hub = start_hub()
    ids = database.add_polls(300)
    await watch_all(hub, ids)
    # Each room is read a second time once it is subscribed.
    await eventually(lambda: database.details_read == 600)
    database.compared.clear()
    database.states[ids[7]] = make_state(id=ids[7], code="000007", version=5)
    await eventually(lambda: len(database.compared) >= 3)
    assert set(database.compared) == {300}
    assert database.details_read == 600
    assert hub._rooms[ids[7]].state.version == 5


async def test_the_metric_is_how_many_votes_the_screens_were_behind(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader
) -> None:
    layer.way = "loses"
    hub = start_hub()
    await watch_all(hub, [POLL_ID, *database.add_polls(2)])
    await until_only_beats_read(database, rooms=3)
    database.write(version=5)
    await eventually(lambda: metrics.LAG._value.get() == 5)
    await eventually(lambda: metrics.LAG._value.get() == 0)


async def test_thousands_of_rooms_are_compared_in_parts_so_that_no_reading_waits_long(
    start_hub: StartHub, database: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_POLLS_A_QUESTION", 10)
    hub = start_hub()
    ids = database.add_polls(25)
    rooms = await watch_all(hub, ids)
    for id in ids:
        database.states[id] = database.states[id]._replace(version=1)
    await eventually(lambda: all(room.state.version == 1 for room in rooms))
    database.compared.clear()
    await eventually(lambda: len(database.compared) >= 3)
    assert database.compared[:3] == [10, 10, 5]


async def test_a_process_publishes_one_message_a_beat_however_many_rooms_there_are(
    start_hub: StartHub, database: FakeReader, layer: FakeLayer
) -> None:
    hub = start_hub()
    ids = database.add_polls(300)
    await watch_all(hub, ids)
    await eventually(lambda: sum(len(message["counts"]) for _, message in layer.sent) == 300)
    layer.sent.clear()
    database.compared.clear()
    await eventually(lambda: len(database.compared) >= 3)
    await eventually(lambda: len(layer.sent) >= 3)
    assert len(layer.sent) <= len(database.compared) + 1
    for group, message in layer.sent:
        assert (group, message["counts"]) == (messages.HUBS, {})


async def test_processes_count_each_others_sockets_also_where_one_is_new(
    start_hub: StartHub, layer: FakeLayer
) -> None:
    first = start_hub()
    room, _ = await watch(first)
    room.add(FakeClient().watcher)
    await eventually(lambda: room.watching == 2)
    second = start_hub()
    elsewhere, _ = await watch(second)
    await eventually(lambda: (room.watching, elsewhere.watching) == (3, 3))
    third = start_hub()
    newest, client = await watch(third)
    await eventually(lambda: {one.watching for one in (room, elsewhere, newest)} == {4})
    third.leave(newest, client.watcher)
    await eventually(lambda: {one.watching for one in (room, elsewhere)} == {3})


async def test_counts_that_the_layer_lost_are_made_good(
    start_hub: StartHub, layer: FakeLayer
) -> None:
    first, second = start_hub(), start_hub()
    (room, _), (elsewhere, _) = await watch(first), await watch(second)
    await eventually(lambda: (room.watching, elsewhere.watching) == (2, 2))
    layer.way = "loses"
    layer.sent.clear()
    room.add(FakeClient().watcher)
    await eventually(lambda: any(message["counts"] for _, message in layer.sent))
    layer.way = "works"
    await eventually(lambda: (room.watching, elsewhere.watching) == (3, 3))


async def test_a_process_that_died_counts_no_more(start_hub: StartHub, layer: FakeLayer) -> None:
    first, second = start_hub(), start_hub()
    (room, _), _ = await watch(first), await watch(second)
    await eventually(lambda: room.watching == 2)
    await second.stop()
    await eventually(lambda: room.watching == 1)  # three beats later


@pytest.mark.parametrize("way", ["raises", "refuses joins"])
async def test_a_layer_that_is_away_is_tried_once_a_beat_and_not_for_every_room(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader, way: str
) -> None:
    hub = start_hub()
    await eventually(lambda: layer.groups.get(messages.HUBS))
    layer.way = way
    ids = database.add_polls(50)
    await watch_all(hub, ids)
    await eventually(lambda: layer.joins_tried >= 51)
    database.compared.clear()
    await eventually(lambda: len(database.compared) >= 4)
    assert layer.joins_tried <= 51 + 10
    layer.way = "works"
    await eventually(lambda: all(layer.groups.get(messages.group(id)) for id in ids))


async def test_a_closing_time_whose_read_failed_is_shown_with_a_later_beat(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader
) -> None:
    hub = start_hub()
    database.write(closes_at=datetime.now(UTC) + timedelta(seconds=0.2))
    _, client = await watch(hub)
    await eventually(lambda: layer.groups.get(messages.group(POLL_ID)))
    database.is_away = True
    database.refused = 0
    await eventually(lambda: database.states[POLL_ID].status_at(datetime.now(UTC)) == "closed")
    await eventually(lambda: database.refused >= 3)
    database.is_away = False
    await eventually(lambda: client.of_type("poll"))
    assert client.of_type("poll")[-1]["poll"]["status"] == "closed"


async def test_who_has_voted_is_asked_once_a_vote_and_again_where_it_could_not_be_read(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader
) -> None:
    hub = start_hub()
    hidden = {"results_visibility": "after_vote"}
    database.write(**hidden)
    _, client = await watch(hub)
    client.watcher.identity = Identity("voter", "", "voter")
    await eventually(lambda: database.asked_who_voted)
    asked = database.asked_who_voted
    database.compared.clear()
    await eventually(lambda: len(database.compared) >= 3)
    assert database.asked_who_voted == asked
    database.is_away, database.refused = True, 0
    hub.take_tallies([database.write(version=1, **hidden)])
    database.votes[POLL_ID] = StoredVote(POLL_ID, 1, 1, "voter", [1], MADE_AT)
    await eventually(lambda: database.asked_who_voted > asked and database.refused >= 4)
    database.is_away = False
    await eventually(shows(client, 1))


async def test_what_came_between_reading_and_subscribing_is_not_lost(
    start_hub: StartHub, database: FakeReader, settings: Settings
) -> None:
    settings.RECONCILE_INTERVAL_MS = 60_000
    hub = start_hub()
    _, client = await watch(hub)
    database.write(version=1)  # told to a group that this process has not joined yet
    await eventually(shows(client, 1))


async def test_a_poll_that_was_deleted_elsewhere_ends_its_sockets(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader
) -> None:
    layer.way = "loses"
    hub = start_hub()
    _, client = await watch(hub)
    await until_only_beats_read(database, rooms=1)
    del database.states[POLL_ID]
    await eventually(lambda: client.closed_with == 4404)


async def test_a_database_that_is_away_for_a_while_costs_lateness_only(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader
) -> None:
    layer.way = "loses"
    hub = start_hub()
    _, client = await watch(hub)
    database.is_away = True
    await eventually(lambda: database.refused >= 2)
    database.is_away = False
    database.write(version=2)
    await eventually(shows(client, 2))


async def test_an_empty_room_is_given_up_and_opened_again_fresh(
    start_hub: StartHub, layer: FakeLayer, database: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_EMPTY_ROOM_SECONDS", 0)
    hub = start_hub()
    room, client = await watch(hub)
    await eventually(lambda: layer.groups.get(messages.group(POLL_ID)))
    hub.leave(room, client.watcher)
    assert hub.watchers == 0
    await eventually(lambda: not layer.groups[messages.group(POLL_ID)])
    database.write(version=4)
    again, newcomer = await watch(hub)
    assert again is not room
    await eventually(shows(newcomer, 4))


async def test_sockets_that_leave_a_deleted_poll_stop_no_sweeping(
    start_hub: StartHub, layer: FakeLayer, monkeypatch: pytest.MonkeyPatch, database: FakeReader
) -> None:
    monkeypatch.setattr(hub_module, "_EMPTY_ROOM_SECONDS", 0)
    hub = start_hub()
    deleted, client = await watch(hub)
    hub.take_poll_change(POLL_ID, deleted=True)
    await client.watcher.settled()
    hub.leave(deleted, client.watcher)
    other = uuid4()
    database.states[other] = make_state(id=other, code="ABCDEF")
    room, another = await watch(hub, other)
    hub.leave(room, another.watcher)
    await eventually(lambda: not layer.groups.get(messages.group(other), {"not yet"}))


async def test_a_stuck_socket_is_closed_as_too_slow_and_delays_nobody(
    start_hub: StartHub, database: FakeReader, settings: Settings
) -> None:
    settings.SLOW_SOCKET_SECONDS = 0.1
    hub = start_hub()
    room, quick = await watch(hub)
    stuck = FakeClient(is_slow=True)
    room.add(stuck.watcher)
    hub.take_tallies([database.write(version=1)])
    await eventually(shows(quick, 1), within_secs=0.5)
    await eventually(lambda: stuck.closed_with == 4408)
    assert quick.closed_with is None


async def test_stopping_closes_every_socket_with_the_restart_code(start_hub: StartHub) -> None:
    hub = start_hub()
    _, client = await watch(hub)
    await hub.stop()
    await client.watcher.settled()
    assert client.closed_with == 1012


async def test_it_stops_at_any_moment(start_hub: StartHub) -> None:
    for moments in range(30):
        hub = start_hub()
        joining = asyncio.create_task(hub.join(POLL_ID))
        for _ in range(moments):
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            await hub.stop()
        joining.cancel()
