"""The watchers of one poll: never an older state after a newer one."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from polls.rules.poll import PollState
from realtime.audience import Audience
from realtime.room import Room
from realtime.row import SEATS
from tests.realtime.factories import FakeClient, make_reading, make_state
from tests.realtime.fake_clock import run_on_fake_clock
from tests.sizes import sized

INTERVAL = 0.1
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Refreshes:
    """Counts what a room asks the hub to read again."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, room: Room) -> None:
        self.count += 1


def play(scene: Callable[[Room, Refreshes], Awaitable[None]], **state: Any) -> None:
    """A scene in a room with an open poll, on a clock that costs no time."""

    async def run() -> None:
        refreshes = Refreshes()
        room = Room(make_reading(make_state(**state)), INTERVAL, refreshes, Audience("here"))
        await scene(room, refreshes)
        room.stop()

    run_on_fake_clock(run())


def versions(client: FakeClient) -> list[int]:
    return [tally["version"] for tally in client.tallies]


def test_a_newcomer_gets_the_snapshot_first() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        await asyncio.sleep(1)
        [snapshot] = client.got
        assert snapshot["type"] == "snapshot"
        assert snapshot["poll"]["code"] == "K7QM2X"
        assert snapshot["results"]["counts"] == {"1": 2, "2": 5}

    play(scene, version=7, red=2)


def test_a_change_goes_out_at_once_then_at_most_every_interval_and_the_last_always() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        await asyncio.sleep(1)
        for version in range(1, 101):
            room.take_tally(make_state(version=version))
            await asyncio.sleep(0.005)
        await asyncio.sleep(1)
        shown, times = versions(client)[1:], client.got_at[1:]
        assert shown[0] == 1
        assert times[0] == 1.0
        assert shown[-1] == 100
        assert len(shown) == 6
        assert all(b - a > INTERVAL - 1e-6 for a, b in pairwise(times))

    play(scene)


def test_sockets_of_a_large_room_are_served_in_turns_each_with_the_newest_tally() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        clients = [FakeClient() for _ in range(3 * SEATS)]
        for client in clients:
            room.add(client.watcher)
        await asyncio.sleep(1)
        for version in range(1, 3001):
            room.take_tally(make_state(version=version))
            await asyncio.sleep(0.0005)
        await asyncio.sleep(1)
        turns = Counter(at for client in clients for at in client.got_at[1:])
        assert max(turns.values()) <= SEATS
        for client in clients:
            shown, times = versions(client)[1:], client.got_at[1:]
            assert times[0] < 1.0 + INTERVAL
            assert shown[-1] == 3000
            assert all(b - a > INTERVAL - 1e-6 for a, b in pairwise(times))
            # What is written is as new as the moment, not as the first socket's frame.
            waits = [at - (1.0 + 0.0005 * (version - 1))
                     for at, version in zip(times, shown, strict=True)]  # fmt: skip
            assert max(waits[:-1]) < 0.0005 + 1e-6

    play(scene)


def test_those_that_stay_follow_when_others_of_a_large_room_leave() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        clients = [FakeClient() for _ in range(2 * SEATS + 1)]
        for client in clients:
            room.add(client.watcher)
        for client in clients[: SEATS + 5]:
            room.remove(client.watcher)
        newcomer = FakeClient()
        room.add(newcomer.watcher)
        room.take_tally(make_state(version=9))
        await asyncio.sleep(1)
        assert all(versions(client)[-1] == 0 for client in clients[: SEATS + 5])
        assert all(versions(client)[-1] == 9 for client in [*clients[SEATS + 5 :], newcomer])

    play(scene)


def test_an_older_or_equal_tally_is_not_shown() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        for version in (9, 8, 9, 7, 3, 10, 9):
            room.take_tally(make_state(version=version))
            await asyncio.sleep(1)
        assert versions(client) == [7, 9, 10]

    play(scene, version=7)


def test_a_tally_under_other_rules_is_read_instead_of_believed() -> None:
    async def scene(room: Room, refreshes: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        room.take_tally(make_state(version=3, revision=2))
        room.take_tally(make_state(version=0, epoch=2))
        await asyncio.sleep(1)
        assert refreshes.count == 2
        assert versions(client) == [0]

    play(scene)


def test_a_ranked_tally_is_read_for_its_rounds_once_an_interval() -> None:
    async def scene(room: Room, refreshes: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        for version in range(1, 20):
            room.take_tally(make_state(kind="ranked", version=version))
        await asyncio.sleep(0.01)
        assert refreshes.count == 1
        room.update(make_reading(make_state(kind="ranked", version=19)))
        await asyncio.sleep(1)
        assert versions(client) == [0, 19]

    play(scene, kind="ranked")


def test_a_row_that_emptied_and_was_refilled_keeps_out_of_the_others_way() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        clients = [FakeClient() for _ in range(4 * SEATS)]
        for client in clients[: 3 * SEATS]:
            room.add(client.watcher)
        room.take_tally(make_state(version=1))  # the row that empties has a beat under way
        for client in clients[:SEATS]:
            room.remove(client.watcher)
        for client in clients[3 * SEATS :]:
            room.add(client.watcher)
        await asyncio.sleep(1)
        room.update(make_reading(make_state(version=2, revision=2, closed_at=NOW)))
        await asyncio.sleep(1)
        stayed = clients[SEATS:]
        assert all(client.got[-1]["final"] is True for client in stayed)
        turns = Counter(client.got_at[-1] for client in stayed)
        assert max(turns.values()) <= SEATS

    play(scene)


def test_a_close_is_sent_first_and_then_the_final_tally() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        await asyncio.sleep(1)
        room.update(make_reading(make_state(version=5, revision=2, closed_at=NOW)))
        await asyncio.sleep(1)
        poll, results = client.got[1:]
        assert (poll["type"], poll["poll"]["status"]) == ("poll", "closed")
        assert (results["type"], results["status"]) == ("results", "closed")
        assert results["final"] is True
        assert results["version"] == 5

    play(scene)


def test_a_slow_client_sees_no_open_tally_after_the_close() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient(is_slow=True)
        room.add(client.watcher)
        await asyncio.sleep(1)
        room.take_tally(make_state(version=5))
        room.update(make_reading(make_state(version=5, revision=2, closed_at=NOW)))
        client.take(10)
        await asyncio.sleep(1)
        seen = [frame.get("poll", {}).get("status") if frame["type"] == "poll" else
                frame.get("status") for frame in client.got[1:]]  # fmt: skip
        assert seen == ["closed", "closed"]

    play(scene)


def test_who_may_not_see_gets_neither_results_nor_the_version_of_a_frame() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        stranger, voter, owner = FakeClient(), FakeClient(), FakeClient()
        voter.watcher.voted_in = 1
        owner.watcher.owned_as = room.ownership
        for client in (stranger, voter, owner):
            room.add(client.watcher)
        room.take_tally(make_state(version=4, results_visibility="after_vote"))
        await asyncio.sleep(1)
        assert stranger.got[0]["results"] is None
        assert stranger.tallies == []
        assert versions(voter) == [3, 4]
        assert versions(owner) == [3, 4]

    play(scene, version=3, results_visibility="after_vote")


def test_a_vote_in_an_earlier_epoch_opens_no_results_of_the_next() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        voter = FakeClient()
        voter.watcher.voted_in = 1
        room.add(voter.watcher)
        again = make_state(epoch=2, revision=2, results_visibility="after_vote")
        room.update(make_reading(again))
        room.take_tally(again._replace(version=1, voters=1, votes=1, counts={"1": 0, "2": 1}))
        await asyncio.sleep(1)
        assert [tally["epoch"] for tally in voter.tallies] == [1]
        room.show_to(voter.watcher)
        await asyncio.sleep(1)
        assert [tally["epoch"] for tally in voter.tallies] == [1]

    play(scene, version=3, results_visibility="after_vote")


def test_results_that_the_owner_hides_stop_at_once_even_those_on_their_way() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient(is_slow=True)
        room.add(client.watcher)
        await asyncio.sleep(1)
        room.take_tally(make_state(version=5))
        room.update(make_reading(make_state(version=5, revision=2, results_visibility="owner")))
        room.take_tally(make_state(version=6, revision=2, results_visibility="owner"))
        client.take(10)
        await asyncio.sleep(1)
        assert versions(client) == [0]

    play(scene)


def test_identifying_twice_shows_no_tally_twice() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        room.show_to(client.watcher)
        await asyncio.sleep(1)
        assert versions(client) == [3]

    play(scene, version=3)


def test_a_deleted_poll_is_sent_and_every_socket_closed() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        client = FakeClient()
        room.add(client.watcher)
        room.end()
        await client.watcher.settled()
        assert client.got[-1]["poll"]["status"] == "deleted"
        assert client.closed_with == 4404

    play(scene)


def test_links_are_as_each_client_reached_us() -> None:
    async def scene(room: Room, _: Refreshes) -> None:
        clients = [FakeClient(base_url=url) for url in ("http://a.test", "https://b.test")]
        for client in clients:
            room.add(client.watcher)
        room.update(make_reading(make_state(revision=2, paused_at=NOW)))
        await asyncio.sleep(1)
        a, b = (client.of_type("poll")[0]["poll"]["links"]["live"] for client in clients)
        assert a.startswith("ws://a.test/")
        assert b.startswith("wss://b.test/")

    play(scene)


def test_a_closing_time_asks_to_be_read_when_it_comes_and_not_before() -> None:
    async def scene(room: Room, refreshes: Refreshes) -> None:
        await asyncio.sleep(1.8)
        assert refreshes.count == 0
        await asyncio.sleep(0.4)
        assert refreshes.count >= 1

    play(scene, closes_at=datetime.now(UTC) + timedelta(seconds=2))


Story = list[PollState]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """All states that one poll had, in order: votes, acts of the owner, resets."""
    state = make_state()
    story = [state]
    for event in draw(st.lists(st.sampled_from(["vote"] * 6 + ["act", "reset"]), max_size=25)):
        if event == "vote":
            if state.closed_at is not None:
                continue
            counts = dict(state.counts)
            counts[draw(st.sampled_from(["1", "2"]))] += 1
            state = state._replace(
                version=state.version + 1, voters=state.voters + 1, votes=state.votes + 1,
                counts=counts,
            )  # fmt: skip
        elif event == "act":
            closed = None if state.closed_at else NOW
            state = state._replace(revision=state.revision + 1, closed_at=closed)
        else:
            state = state._replace(
                epoch=state.epoch + 1, revision=state.revision + 1, version=0, voters=0, votes=0,
                counts={"1": 0, "2": 0},
            )  # fmt: skip
        story.append(state)
    return story


@settings(max_examples=sized(short=40, long=150), deadline=None)
@given(story=stories(), seed=st.integers(0, 2**32))
def test_in_any_order_of_news_a_socket_sees_versions_only_rise(story: Story, seed: int) -> None:
    """News is late, doubled, shuffled and lost; reads take their time; clients are slow.

    `written` is how much of the story is committed: no process can know of more.
    """
    chance = random.Random(seed)
    clients: list[FakeClient] = []

    async def run() -> None:
        written = 0
        reading = asyncio.Event()

        async def read(room: Room) -> None:
            state = story[written]
            await asyncio.sleep(chance.choice([0, 0.03, 0.2]))
            reading.clear()
            room.update(make_reading(state))

        tasks: set[asyncio.Task[None]] = set()

        def refresh(room: Room) -> None:
            if not reading.is_set():
                reading.set()
                tasks.add(asyncio.create_task(read(room)))

        room = Room(make_reading(story[0]), INTERVAL, refresh, Audience("here"))
        while written < len(story) - 1 or chance.random() < 0.8:
            written = min(len(story) - 1, written + chance.choice([0, 1, 1, 3]))
            for _ in range(chance.randrange(4)):
                known = story[chance.randrange(written + 1)]
                room.take_tally(known._replace(closed_at=room.state.closed_at))
            if chance.random() < 0.2:
                clients.append(FakeClient(is_slow=chance.random() < 0.5))
                room.add(clients[-1].watcher)
            for client in clients:
                client.take(chance.randrange(3))
            await asyncio.sleep(chance.choice([0, 0.01, 0.15]))
        for client in clients:
            client.take(1000)
        await asyncio.sleep(1)
        reading.set()  # the reconciling read that always comes
        await read(room)
        await asyncio.sleep(1)
        room.stop()

    run_on_fake_clock(run())
    truth = {(state.epoch, state.version): state.counts for state in story}
    for client in clients:
        places = [(tally["epoch"], tally["version"]) for tally in client.tallies]
        assert places == sorted(places)
        assert all(truth[place] == tally["counts"]
                   for place, tally in zip(places, client.tallies, strict=True))  # fmt: skip
        last = client.tallies[-1]
        assert places[-1] == (story[-1].epoch, story[-1].version)
        assert last["final"] == (story[-1].closed_at is not None)
        after_poll = [frame for frame in client.got if frame["type"] in ("poll", "results")]
        for earlier, later in pairwise(after_poll):
            if earlier["type"] == "poll" and later["type"] == "results":
                assert later["status"] == earlier["poll"]["status"]
