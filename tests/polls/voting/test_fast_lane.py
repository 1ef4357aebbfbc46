"""The fast lane: first votes in one trip, by the same rules, and the committer when that fails."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from polls import draining, errors, metrics, services
from polls.database.async_connection import AsyncConnection
from polls.database.stale_backends import stale_backends
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.refs import PollRef
from polls.rules.kinds import KINDS
from polls.rules.kinds.single import Single
from polls.voting import committer, fast_lane
from polls.voting.committer import record_votes, store
from polls.voting.vote import Cast
from tests.polls.elsewhere import backends_whose_query_is_like, elsewhere, kill_backend
from tests.polls.kinds.ballots import some_bodies
from tests.polls.voting.boxes import (
    CODES,
    Fetches,
    WatchedBox,
    assert_exact,
    cast,
    casts,
    make_poll,
    verdicts,
)
from tests.realtime.waiting import eventually

pytestmark = [
    pytest.mark.servers,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_screens"),
]


@pytest.fixture
def poll() -> Poll:
    return make_poll()


@pytest.fixture
async def box(fetches: Fetches, watched: WatchedBox) -> AsyncIterator[WatchedBox]:
    """A ballot box whose event loop has its fast lane."""
    try:
        await watched.connect()
        yield watched
    finally:
        watched.box.stop()


@pytest.fixture
def watched() -> WatchedBox:
    return WatchedBox()


@pytest.fixture
def fetches(watched: WatchedBox, monkeypatch: pytest.MonkeyPatch) -> Fetches:
    found = Fetches(watched)

    async def fetch(self: AsyncConnection, sql: str, *arguments: Any) -> Any:
        return await found(self, sql, *arguments)

    monkeypatch.setattr(AsyncConnection, "fetch", fetch)
    return found


async def lane_backend(box: WatchedBox, poll: Poll) -> int:
    """The one process, which has stored a vote by now."""
    assert verdicts(await box.cast_all(casts(poll, "first"))) == ["accepted"]
    (pid,) = await elsewhere(lambda: backends_whose_query_is_like("%jsonb_object_agg%"))
    return pid


# What it does


async def test_a_turn_is_a_batch_in_one_trip_and_the_committer_has_no_part(
    box: WatchedBox, poll: Poll
) -> None:
    answers = await box.cast_all([cast(poll, f"voter {number}") for number in range(20)])
    assert verdicts(answers) == ["accepted"] * 20
    assert [one.vote.seq for one in answers] == list(range(1, 21))
    assert {one.state.version for one in answers} == {20}
    assert (box.stored, box.committed, len(box.box)) == (1, 0, 0)
    await assert_exact(poll, voters=20, version=20)


async def test_a_batch_has_a_size(box: WatchedBox, poll: Poll) -> None:
    answers = await box.cast_all([cast(poll, f"voter {number}") for number in range(120)])
    assert sorted({one.state.version for one in answers}) == [50, 100, 120]
    assert (box.stored, box.committed) == (3, 0)
    await assert_exact(poll, voters=120, version=120)


async def test_answers_are_made_before_any_caller_goes_on(box: WatchedBox, poll: Poll) -> None:
    order: list[str] = []

    async def vote(name: str) -> None:
        await box.box.cast(cast(poll, name), lambda _: order.append(f"convert {name}"))
        order.append(f"go on {name}")

    await asyncio.gather(*map(vote, "abc"))
    assert order == [f"{what} {name}" for what in ("convert", "go on") for name in "abc"]


def some_casts(poll: Poll, chance: random.Random, number: int) -> list[Cast]:
    refs: list[PollRef] = [poll.id, poll.code, poll.id, "ABSENT"]
    ballots: list[Any] = [
        *(*some_bodies(poll.kind, 6), {"choices": [3, 1]}, {"choices": [9]}, {}, None),
        *({"ratings": {"1": 5}}, {"choices": [1, 2, 3]}, {"choices": "one"}),
    ]
    return [
        Cast(
            chance.choice(refs),
            Identity(name, name, name, account=None, voter_code=chance.choice([*CODES, None])),
            chance.choice(ballots),
        )
        for name in chance.choices("abcdefgh", k=number)
    ]


async def test_both_ways_decide_alike(box: WatchedBox) -> None:
    def make_polls() -> list[Poll]:
        policies = ("device", "code", "open", "account")
        return [make_poll(kind, policy) for kind in KINDS for policy in policies]

    ours, theirs = await elsewhere(make_polls), await elsewhere(make_polls)
    seen: set[str] = set()
    for mine, other in zip(ours, theirs, strict=True):
        decided: set[str] = set()
        for seed in range(6):
            by_loop = await box.cast_all(some_casts(mine, random.Random(seed), 8))
            batch = some_casts(other, random.Random(seed), 8)
            by_committer = await elsewhere(lambda batch=batch: record_votes(batch))  # type: ignore[misc]
            assert verdicts(by_loop) == verdicts(by_committer)
            for one, same in zip(by_loop, by_committer, strict=True):
                assert (one.vote is None) == (same.vote is None)
                if one.vote is not None and same.vote is not None:
                    assert one.vote.marks == same.vote.marks
                    assert type(one.vote.voter) is type(same.vote.voter)
                    assert one.vote.cast_at.tzinfo is same.vote.cast_at.tzinfo
            decided.update(verdicts(by_loop))
        if mine.voter_policy != "account":
            assert "accepted" in decided, mine.kind
        seen |= decided

        def compare(mine: Poll = mine, other: Poll = other) -> None:
            mine.refresh_from_db()
            other.refresh_from_db()
            for name in ("version", "voters", "votes", "counts", "stars"):
                assert getattr(mine, name) == getattr(other, name)
            assert recount_poll(mine.id) == []

        await elsewhere(compare)
    assert box.stored
    assert seen >= {"accepted", "repeated", "replaced", "retracted", "not_voted",
                    "invalid_voter_code", "voter_required", "poll_not_found"}  # fmt: skip


async def test_what_it_says_is_what_is_stored(box: WatchedBox, poll: Poll) -> None:
    answers = await box.cast_all(casts(poll, "a", "b"))
    assert box.committed == 0

    def read() -> tuple[Any, Any]:
        row = Vote.objects.get(poll=poll, seq=answers[1].vote.seq)
        return row, Poll.objects.get(id=poll.id)

    row, stored = await elsewhere(read)
    vote, state = answers[1].vote, answers[1].state
    assert row.voter.hex == vote.voter
    assert (row.epoch, row.marks, row.cast_at, row.is_current, row.replaces) == (
        vote.epoch, vote.marks, vote.cast_at, True, None
    )  # fmt: skip
    for name in state._fields:
        assert getattr(state, name) == getattr(stored, name), name
        assert isinstance(getattr(state, name), type(getattr(stored, name))), name


async def test_batches_are_measured(
    box: WatchedBox, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(metrics, "count_outcomes", counted.extend)
    await box.cast_all(casts(poll, "a"))
    await box.cast_all([*casts(poll, "a"), cast(poll, "b", 9)])
    assert counted == ["accepted", "repeated", "invalid_option"]


# What it leaves to the committer


def close_by_the_clock(poll: Poll) -> None:
    Poll.objects.filter(id=poll.id).update(closes_at=datetime.now(UTC))
    services.seal_polls([poll.id], datetime.now(UTC))


ACTS: dict[str, tuple[Callable[[Poll], object], list[str]]] = {
    "closed": (lambda poll: services.close_poll(poll.id), ["poll_closed"] * 2),
    "paused": (lambda poll: services.pause_poll(poll.id), ["poll_not_open"] * 2),
    "reset": (lambda poll: services.reset_poll(poll.id), ["accepted"] * 2),
    "deleted": (lambda poll: services.delete_poll(poll.id), ["poll_not_found"] * 2),
    "voted on": (lambda poll: store(casts(poll, *"xyz")), ["accepted"] * 2),
    "sealed": (close_by_the_clock, ["poll_closed"] * 2),
}


@pytest.mark.parametrize("act", ACTS)
async def test_what_happened_since_it_read_the_poll_counts(
    box: WatchedBox, poll: Poll, act: str, fetches: Fetches
) -> None:
    do, expected = ACTS[act]
    neighbour = await elsewhere(make_poll)
    assert verdicts(await box.cast_all([*casts(poll, "a"), *casts(neighbour, "a")])) == [
        "accepted", "accepted",
    ]  # fmt: skip
    fetches.before("store", lambda: elsewhere(lambda: do(poll)))  # later than it could read it
    answers = await box.cast_all([*casts(poll, "b"), *casts(neighbour, "b"), *casts(poll, "c")])
    assert verdicts(answers) == [expected[0], "accepted", expected[1]]
    assert box.committed == (0 if act == "voted on" else 2)
    assert answers[1].vote.seq == 2
    await assert_exact(neighbour, voters=2, version=2)
    if act == "reset":
        assert [answers[0].vote.epoch, answers[0].vote.seq] == [2, 1]
        await assert_exact(poll, voters=2, version=2)
    if act == "voted on":
        assert [answers[0].vote.seq, answers[2].vote.seq] == [5, 6]
        assert answers[2].state.version == 6
        await assert_exact(poll, voters=6, version=6)


async def test_a_join_code_that_went_to_another_poll_is_that_polls(
    box: WatchedBox, poll: Poll
) -> None:
    by_code = Cast(poll.code, Identity("a", "", "a"), {"choices": [1]})
    assert verdicts(await box.cast_all([by_code])) == ["accepted"]
    await elsewhere(lambda: services.delete_poll(poll.id))
    other = await elsewhere(make_poll)
    await elsewhere(lambda: Poll.objects.filter(id=other.id).update(code=poll.code))
    (again,) = await box.cast_all([by_code])
    assert (again.verdict, again.vote.poll_id) == ("accepted", other.id)
    await assert_exact(other, voters=1, version=1)


async def test_what_is_changed_by_hand_is_seen_when_the_poll_is_read_again(
    box: WatchedBox, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_lane, "KNOWN_SECONDS", 0.0)
    assert verdicts(await box.cast_all(casts(poll, "a"))) == ["accepted"]
    await elsewhere(lambda: Poll.objects.filter(id=poll.id).update(max_choices=2))
    two = Cast(poll.id, Identity("b", "", "b"), {"choices": [1, 2]})
    assert verdicts(await box.cast_all([two])) == ["accepted"]
    assert box.committed == 0


async def test_who_voted_before_a_reset_votes_for_the_first_time_after_it(
    box: WatchedBox, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_lane, "KNOWN_SECONDS", 0.0)
    await box.cast_all(casts(poll, *"abc"))
    await elsewhere(lambda: services.reset_poll(poll.id))
    assert verdicts(await box.cast_all(casts(poll, *"abc"))) == ["accepted"] * 3
    assert box.committed == 0
    await assert_exact(poll, voters=3, version=3)


async def test_who_has_voted_is_found_and_costs_the_neighbours_nothing(
    box: WatchedBox, poll: Poll
) -> None:
    await box.cast_all(casts(poll, *"abc"))
    answers = await box.cast_all([*casts(poll, "d", "a"), cast(poll, "b", 2), *casts(poll, "e")])
    assert verdicts(answers) == ["accepted", "repeated", "replaced", "accepted"]
    assert (box.stored, box.committed) == (2, 4)
    await assert_exact(poll, voters=5, version=6)


async def test_after_conflicts_it_tries_less_and_comes_back(box: WatchedBox, poll: Poll) -> None:
    await box.cast_all(casts(poll, "a"))
    box.stored = 0
    for number in range(100):
        answers = await box.cast_all(casts(poll, "a", f"voter {number}"))
        assert verdicts(answers) == ["repeated", "accepted"]
    tries = 100 / (fast_lane.MOST_DETOURS + 1)
    assert tries <= box.stored <= tries + 5
    for number in range(40):
        await box.cast_all(casts(poll, f"other {number}"))
    box.stored = box.committed = 0
    await box.cast_all(casts(poll, "last"))
    assert (box.stored, box.committed) == (1, 0)
    await assert_exact(poll, voters=142, version=142)


@pytest.mark.parametrize(
    ("second", "expected"),
    [({"choices": [2]}, "replaced"), (None, "retracted"), ({"choices": [9]}, "invalid_option")],
)
async def test_two_votes_of_one_voter_in_a_batch_are_decided_in_their_order(
    box: WatchedBox, poll: Poll, second: Any, expected: str
) -> None:
    by_code = Cast(poll.code, Identity("a", "", "a"), second)
    answers = await box.cast_all([cast(poll, "a"), by_code, cast(poll, "b")])
    assert verdicts(answers) == ["accepted", expected, "accepted"]
    assert box.committed == 2


async def test_a_voter_who_votes_elsewhere_in_the_same_moment_is_counted_once(
    box: WatchedBox, poll: Poll
) -> None:
    """Seen when the vote is stored, after the look for earlier votes: by the constraint."""
    backend = await lane_backend(box, poll)
    loop = asyncio.get_running_loop()
    has_voted, may_go = asyncio.Event(), asyncio.Event()

    def vote() -> None:
        with transaction.atomic():
            assert verdicts(record_votes(casts(poll, "a"))) == ["accepted"]
            loop.call_soon_threadsafe(has_voted.set)
            asyncio.run_coroutine_threadsafe(may_go.wait(), loop).result(20)

    voting = asyncio.create_task(elsewhere(vote))
    await has_voted.wait()
    waiting = [box.box.cast(one) for one in casts(poll, "b", "a", "c")]
    await eventually_elsewhere(lambda: waits_for_a_lock(backend))
    may_go.set()
    answers: list[Any] = await asyncio.gather(*waiting)
    await voting
    assert verdicts(answers) == ["accepted", "repeated", "accepted"]
    assert answers[1].vote.seq == 2
    assert box.committed == 3
    assert box.box.has_loop_connection()  # a conflict costs no connection
    await assert_exact(poll, voters=4, version=4)


# When something fails


@pytest.mark.parametrize("kind", ["look up", "store"])
async def test_a_connection_killed_in_a_batch_costs_nobody_an_answer(
    box: WatchedBox, poll: Poll, fetches: Fetches, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_lane, "KNOWN_SECONDS", 0.0)
    backend = await lane_backend(box, poll)
    fetches.before(kind, lambda: elsewhere(lambda: kill_backend(backend)))
    answers = await box.cast_all([cast(poll, f"voter {number}") for number in range(80)])
    assert verdicts(answers) == ["accepted"] * 80
    assert box.committed == 80
    assert not box.box.has_loop_connection()
    await assert_exact(poll, voters=81, version=81)
    await box.connect()  # and it heals
    again = await box.cast_all([cast(poll, f"new {number}") for number in range(40)])
    assert verdicts(again) == ["accepted"] * 40
    assert box.committed == 0
    assert not stale_backends


async def test_a_commit_whose_answer_was_lost_is_answered_as_repeated(
    box: WatchedBox, poll: Poll, fetches: Fetches
) -> None:
    async def lose() -> None:
        raise OperationalError("server closed the connection unexpectedly")

    fetches.after("store", lose)
    answers = await box.cast_all(casts(poll, *"abc"))
    assert verdicts(answers) == ["repeated"] * 3
    await assert_exact(poll, voters=3, version=3)


@pytest.mark.parametrize("kind", ["look up", "store"])
async def test_a_statement_that_fails_is_left_to_the_committer(
    box: WatchedBox, poll: Poll, fetches: Fetches, kind: str
) -> None:
    fetches.instead(kind, "SELECT no_such_thing")
    waiting = asyncio.gather(*map(box.box.cast, casts(poll, *"abc")))
    await eventually(lambda: not box.box.has_loop_connection())
    assert not stale_backends  # the server has said that the statement is over
    answers = await waiting
    assert verdicts(answers) == ["accepted"] * 3
    assert box.committed == 3
    await assert_exact(poll, voters=3, version=3)


async def test_a_vote_that_breaks_does_not_take_its_neighbours_down(
    box: WatchedBox, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    sane = Single.read

    def read(self: Single, state: Any, body: Any) -> Any:
        if body["choices"] == [3]:
            raise RuntimeError("a bug")
        return sane(self, state, body)

    monkeypatch.setattr(Single, "read", read)
    answers = await box.cast_all([cast(poll, "a"), cast(poll, "b", 3), cast(poll, "c", 2)])
    assert verdicts(answers) == ["accepted", "server_error", "accepted"]
    assert box.box.has_loop_connection()  # it costs no connection
    await assert_exact(poll, voters=2, version=2)


async def test_a_batch_that_was_given_up_is_not_committed_later(
    box: WatchedBox, poll: Poll
) -> None:
    """Sent to a process that stands still; by the time it goes on the vote was cast again, by
    the committer, and retracted."""
    backend = await lane_backend(box, poll)
    os.kill(backend, signal.SIGSTOP)
    try:
        waiting = box.box.cast(cast(poll, "a"))
        await eventually(lambda: box.stored == 2)
        await asyncio.sleep(0)
        box.box.close_loop_connection()
        assert verdicts([await waiting]) == ["accepted"]
        retraction = Cast(poll.id, Identity("a", "", "a"), None)
        assert verdicts(await box.cast_all([retraction])) == ["retracted"]
    finally:
        os.kill(backend, signal.SIGCONT)
    await eventually_elsewhere(lambda: is_gone(backend))
    await assert_exact(poll, voters=1, version=3)
    assert not stale_backends


async def test_a_new_connection_ends_what_the_one_before_gave_up(
    box: WatchedBox, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await lane_backend(box, poll)
    os.kill(backend, signal.SIGSTOP)
    monkeypatch.setattr(committer, "end_stale_backends", lambda: None)  # as if no vote came to it
    try:
        waiting = box.box.cast(cast(poll, "a"))
        await eventually(lambda: box.stored == 2)
        box.box.close_loop_connection()
        await waiting
        assert {one.pid for one in stale_backends} == {backend}
        await box.connect()
    finally:
        os.kill(backend, signal.SIGCONT)
    assert not stale_backends
    await eventually_elsewhere(lambda: is_gone(backend))
    await assert_exact(poll, voters=2, version=2)


async def test_while_a_poll_is_locked_votes_gather_and_no_more_than_there_is_room_for(
    box: WatchedBox, poll: Poll
) -> None:
    await box.cast_all(casts(poll, "first"))
    box.box.capacity = 4
    has_locked, may_go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        with transaction.atomic():
            Poll.objects.select_for_update().get(id=poll.id)
            loop.call_soon_threadsafe(has_locked.set)
            asyncio.run_coroutine_threadsafe(may_go.wait(), loop).result(20)

    holding = asyncio.create_task(elsewhere(hold))
    await has_locked.wait()
    under_way = [box.box.cast(cast(poll, name)) for name in "ab"]
    await eventually(lambda: not len(box.box))
    waiting = [box.box.cast(cast(poll, name)) for name in "cdef"]
    assert len(box.box) == 4
    refused = box.box.cast(cast(poll, "g"))
    assert isinstance(refused.exception(), errors.Overloaded)
    may_go.set()
    answers: list[Any] = await asyncio.gather(*under_way, *waiting)
    await holding
    assert verdicts(answers) == ["accepted"] * 6
    assert [one.state.version for one in answers] == [3, 3, 7, 7, 7, 7]
    assert box.committed == 0


async def test_one_who_goes_away_takes_nobody_along(box: WatchedBox, poll: Poll) -> None:
    first, second = box.box.cast(cast(poll, "a")), box.box.cast(cast(poll, "b"))
    first.cancel()
    assert (await second).vote.seq == 2
    await assert_exact(poll, voters=2, version=2)


async def test_who_waits_when_the_fast_lane_ends_is_answered(box: WatchedBox, poll: Poll) -> None:
    under_way = box.box.cast(cast(poll, "a"))
    await asyncio.sleep(0)
    gathered = box.box.cast(cast(poll, "b"))
    box.box.close_loop_connection()
    later = box.box.cast(cast(poll, "c"))
    async with asyncio.timeout(10):
        answers = [await one for one in (under_way, gathered, later)]
    assert {*verdicts(answers)} <= {"accepted", "repeated"}
    await assert_exact(poll, voters=3, version=3)


async def test_a_lane_that_ends_as_its_answer_comes_leaves_nothing_twice(
    box: WatchedBox, poll: Poll, fetches: Fetches
) -> None:
    async def end() -> None:
        box.box.close_loop_connection()

    fetches.after("store", end)
    changed = Cast(poll.id, Identity("x", "", "x"), {"choices": [2]})
    answers = await box.cast_all([cast(poll, "y"), cast(poll, "x"), changed])
    assert verdicts(answers) == ["accepted", "accepted", "replaced"]
    assert box.committed == 3
    await assert_exact(poll, voters=2, version=3)


async def test_a_lane_that_is_cancelled_leaves_its_votes(box: WatchedBox, poll: Poll) -> None:
    before = asyncio.all_tasks()
    waiting = [box.box.cast(one) for one in casts(poll, *"abc")]
    (running,) = asyncio.all_tasks() - before
    await asyncio.sleep(0)
    running.cancel()
    async with asyncio.timeout(10):
        answers = [await one for one in waiting]
    assert {*verdicts(answers)} <= {"accepted", "repeated"}
    await assert_exact(poll, voters=3, version=3)


async def test_a_process_that_drains_leaves_votes_to_the_committer(
    box: WatchedBox, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "is_draining", lambda: True)
    assert verdicts(await box.cast_all([cast(poll, "a")])) == ["accepted"]
    assert box.committed == 1


# Beside others


async def test_a_lane_and_committers_on_the_same_polls_are_exact(
    box: WatchedBox, poll: Poll
) -> None:
    """Another process's batches, and an owner who pauses now and then, are threads here."""
    polls = [poll, *[await elsewhere(make_poll) for _ in range(4)]]

    def batch(number: int) -> list[Cast]:
        return [
            cast(random.choice(polls), f"{random.choice('abc')} {number}", random.choice([1, 2]))
            for _ in range(8)
        ]

    def act() -> None:
        for one in polls:
            services.pause_poll(one.id)
            services.open_poll(one.id)

    others = asyncio.gather(
        *(elsewhere(lambda n=n: store(batch(n))) for n in range(30)),  # type: ignore[misc]
        *(elsewhere(act) for _ in range(5)),
    )
    seen: set[str] = set()
    for number in range(40):
        seen.update(verdicts(await box.cast_all(batch(number))))
    await others
    assert seen <= {"accepted", "repeated", "replaced", "poll_not_open"}
    assert box.stored

    def check() -> None:
        for one in polls:
            assert recount_poll(one.id) == []
            seqs = Vote.objects.filter(poll=one).order_by("seq").values_list("seq", flat=True)
            assert list(seqs) == list(range(1, len(seqs) + 1))

    await elsewhere(check)


def is_gone(backend: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [backend])
        return bool(cursor.fetchone() == (0,))


def waits_for_a_lock(backend: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", [backend])
        return bool(cursor.fetchall() == [("Lock",)])


async def eventually_elsewhere(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await elsewhere(condition):
            pass
