"""Votes decided before the lock: only where nothing has changed, and else as under it."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from polls import services
from polls.identity.voters import Identity, voter_key
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.refs import PollRef
from polls.rules.kinds import KINDS
from polls.rules.tally import Tally
from polls.selectors import get_states
from polls.voting import abandoned, columns, known_polls, loop_postgresql
from polls.voting.additions import Addition, add_first_votes
from polls.voting.ballot_box import commit
from polls.voting.committer import Cast, record_votes
from polls.voting.first_votes import presume
from polls.voting.loop_box import _MOST_CAUTION
from polls.voting.loop_connection import LoopConnection
from tests.polls.elsewhere import elsewhere
from tests.polls.loop_boxes import (
    PRESUMED,
    Watched,
    assert_exact,
    cast,
    decide_under_the_lock,
    make_poll,
    told,
)
from tests.realtime.waiting import eventually

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_screens"),
]


@pytest.fixture
def poll() -> Poll:
    return make_poll()


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each trip of an event loop's connection begins: “presumed” or its first word."""
    run = LoopConnection.run
    found: list[str] = []

    def watch(self: LoopConnection, statements: Any, then: Any, *otherwise: Any) -> None:
        sql = statements[0].sql
        found.append("presumed" if otherwise and sql.startswith(PRESUMED) else sql.split()[0])
        run(self, statements, then, *otherwise)

    monkeypatch.setattr(LoopConnection, "run", watch)
    return found


def voters(poll: Poll, *names: str) -> list[Cast]:
    return [cast(poll, name) for name in names]


async def test_first_votes_are_one_trip(box: Watched, poll: Poll, trips: list[str]) -> None:
    first = await box.ask_all(voters(poll, *"abc"))
    second = await box.ask_all([cast(poll, "d", 2)])
    assert told([*first, *second]) == ["accepted"] * 4
    assert [one.vote.seq for one in [*first, *second]] == [1, 2, 3, 4]
    assert [one.state.counts for one in (first[2], second[0])] == [
        {"1": 3, "2": 0, "3": 0}, {"1": 3, "2": 1, "3": 0}
    ]  # fmt: skip
    assert trips == ["presumed"] * 2
    await assert_exact(poll, voters=4, version=4)


async def test_they_say_what_is_said_and_stored_under_the_lock(
    box: Watched, trips: list[str]
) -> None:
    def make_polls() -> list[Poll]:
        return [
            make_poll(kind, policy)
            for kind in KINDS
            for policy in ("device", "open", "ip")
        ]  # fmt: skip

    ballots = {
        "single": ([1], [3]), "multiple": ([2, 1], [3]), "ranked": ([3, 1], [2, 3, 1]),
        "rating": ({"1": 5, "2": 1}, {"3": 2}),
    }  # fmt: skip
    nobody = Identity("", "", "")
    for mine, theirs in zip(await elsewhere(make_polls), await elsewhere(make_polls), strict=True):
        field = "ratings" if mine.kind == "rating" else "choices"
        bodies = [{field: marks} for marks in ballots[mine.kind]]

        def casts(poll: Poll, bodies: Any = bodies) -> list[Cast]:
            refs: list[PollRef] = [poll.id, poll.code]
            return [
                Cast(random.choice(refs), Identity(name, name, name), body)
                for name, body in zip("ab", bodies, strict=True)
            ]

        await elsewhere(lambda poll=mine: record_votes([Cast(poll.id, nobody, None)]))  # type: ignore[misc]
        trips.clear()
        ours = await box.ask_all(casts(mine))
        assert trips[0] == ("BEGIN" if mine.kind == "rating" else "presumed")
        others: Any = await elsewhere(lambda poll=theirs: record_votes(casts(poll)))  # type: ignore[misc]
        for one, same in zip(ours, others, strict=True):
            assert one.verdict == same.verdict
            assert one.error is same.error is None
            assert one.vote.cast_at == one.decided_at
            other_vote = {"voter": "", "cast_at": None, "poll_id": None}
            assert one.vote._replace(**other_vote) == same.vote._replace(**other_vote)
            other_poll = {"id": None, "code": None, "owner_key_hash": None}
            assert one.state._replace(**other_poll) == same.state._replace(**other_poll)

        def stored(poll: Poll) -> list[dict[str, Any]]:
            rows = Vote.objects.filter(poll=poll).order_by("seq").values()
            return [{**row, "poll_id": 0, "voter": 0, "cast_at": 0} for row in rows]

        assert await elsewhere(lambda poll=mine: stored(poll)) == await elsewhere(  # type: ignore[misc]
            lambda poll=theirs: stored(poll)  # type: ignore[misc]
        )
        row = await elsewhere(lambda poll=mine: Vote.objects.get(poll=poll, seq=2))  # type: ignore[misc]
        assert row.voter.hex == ours[1].vote.voter
        assert row.cast_at == ours[1].vote.cast_at
        assert await elsewhere(lambda poll=mine: recount_poll(poll.id)) == []  # type: ignore[misc]


def close_by_the_clock(poll: Poll) -> None:
    Poll.objects.filter(id=poll.id).update(closes_at=datetime.now(UTC))
    services.seal_polls([poll.id], datetime.now(UTC))


ACTS: dict[str, tuple[Callable[[Poll], object], list[str]]] = {
    "closed": (lambda poll: services.close_poll(poll.id), ["poll_closed"] * 2),
    "paused": (lambda poll: services.pause_poll(poll.id), ["poll_not_open"] * 2),
    "reset": (lambda poll: services.reset_poll(poll.id), ["accepted"] * 2),
    "deleted": (lambda poll: services.delete_poll(poll.id), ["poll_not_found"] * 2),
    "voted on": (lambda poll: commit(voters(poll, *"xyz")), ["accepted"] * 2),
    "sealed": (close_by_the_clock, ["poll_closed"] * 2),
}


@pytest.mark.parametrize("act", ACTS)
async def test_what_happened_meanwhile_counts(
    box: Watched, poll: Poll, trips: list[str], act: str
) -> None:
    do, expected = ACTS[act]
    neighbour = await elsewhere(make_poll)
    assert (
        told(await box.ask_all([*voters(poll, "a"), *voters(neighbour, "a")])) == ["accepted"] * 2
    )
    await elsewhere(lambda: do(poll))
    trips.clear()
    answers = await box.ask_all([*voters(poll, "b"), *voters(neighbour, "b"), *voters(poll, "c")])
    assert told(answers) == [expected[0], "accepted", expected[1]]
    assert trips[0] == "presumed"
    assert ("BEGIN" in trips) == (act != "voted on")
    assert box.left_to_thread == 0
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
    box: Watched, poll: Poll
) -> None:
    by_code = Cast(poll.code, Identity("a", "", "a"), {"choices": [1]})
    assert told(await box.ask_all([by_code])) == ["accepted"]
    await elsewhere(lambda: services.delete_poll(poll.id))
    other = await elsewhere(make_poll)
    await elsewhere(lambda: Poll.objects.filter(id=other.id).update(code=poll.code))
    (again,) = await box.ask_all([by_code])
    assert (again.verdict, again.vote.poll_id) == ("accepted", other.id)
    await assert_exact(other, voters=1, version=1)


async def test_what_is_changed_by_hand_is_seen_when_the_poll_is_locked_again(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    await elsewhere(lambda: Poll.objects.filter(id=poll.id).update(max_choices=2))
    decide_under_the_lock(monkeypatch)  # as when a second has passed
    two = Cast(poll.id, Identity("b", "", "b"), {"choices": [1, 2]})
    assert told(await box.ask_all([two])) == ["accepted"]


def test_only_polls_that_are_open_and_go_by_their_rules_alone_are_presumed() -> None:
    now = datetime.now(UTC)
    (state,) = get_states([make_poll().id])
    cases: dict[str, dict[str, Any]] = {
        "open": {},
        "closes soon": {"closes_at": now + timedelta(hours=1)},
        "has closed": {"closes_at": now},
        "is closed": {"closed_at": now},
        "opens soon": {"opens_at": now + timedelta(hours=1)},
        "draft": {"is_draft": True},
        "paused": {"paused_at": now},
        "codes": {"voter_policy": "code"},
        "rating": {"kind": "rating"},
    }
    presumed = set()
    for name, fields in cases.items():
        known_polls.note([state._replace(**fields)])
        if presume([Cast(state.id, Identity("a", "", "a"), {"choices": [1]})]):
            presumed.add(name)
    assert presumed == {"open", "closes soon"}


async def test_who_voted_before_a_reset_votes_for_the_first_time_after_it(
    box: Watched, poll: Poll, trips: list[str]
) -> None:
    await box.ask_all(voters(poll, *"abc"))
    await elsewhere(lambda: services.reset_poll(poll.id))
    assert told(await box.ask_all(voters(poll, "a"))) == ["accepted"]  # seen anew, under the lock
    trips.clear()
    box.loop_box._wary = 0
    assert told(await box.ask_all(voters(poll, *"bc"))) == ["accepted"] * 2
    assert trips == ["presumed"]
    await assert_exact(poll, voters=3, version=3)


@pytest.mark.servers
async def test_a_batch_that_was_given_up_is_not_committed_later(box: Watched, poll: Poll) -> None:
    """Sent to a process that stands still; by the time it goes on the vote was cast again, by
    the thread, and taken back."""
    backend = box.loop_box._connection.other_end
    os.kill(backend, signal.SIGSTOP)
    try:
        waiting = box.ask(cast(poll, "a"))
        await eventually(lambda: not len(box))
        box.close_loop_box()
        assert told([await waiting]) == ["accepted"]
        retraction = Cast(poll.id, Identity("a", "", "a"), None)
        assert told(await box.ask_all([retraction])) == ["retracted"]
    finally:
        os.kill(backend, signal.SIGCONT)

    def is_gone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [backend])
            return bool(cursor.fetchone() == (0,))

    await eventually_elsewhere(is_gone)
    await assert_exact(poll, voters=0, version=2)
    assert not abandoned._backends


@pytest.mark.servers
async def test_a_new_connection_ends_what_the_one_before_gave_up(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = box.loop_box._connection.other_end
    os.kill(backend, signal.SIGSTOP)
    monkeypatch.setattr(abandoned, "end_all", lambda: None)  # as if no thread had come to it
    try:
        waiting = box.ask(cast(poll, "a"))
        await eventually(lambda: not len(box))
        box.close_loop_box()
        await waiting
        await box.connect(poll)
    finally:
        os.kill(backend, signal.SIGCONT)
    assert box.loop_box._connection.other_end != backend
    assert not abandoned._backends
    await assert_exact(poll, voters=1, version=1)


async def test_who_has_voted_is_found_and_costs_the_neighbours_nothing(
    box: Watched, poll: Poll, trips: list[str]
) -> None:
    await box.ask_all(voters(poll, *"abc"))
    trips.clear()
    answers = await box.ask_all([*voters(poll, "d", "a"), cast(poll, "b", 2), *voters(poll, "e")])
    assert told(answers) == ["accepted", "repeated", "replaced", "accepted"]
    assert trips == ["presumed", "BEGIN", "UPDATE"]
    assert box.left_to_thread == 0
    await assert_exact(poll, voters=5, version=6)


async def test_who_presumes_in_vain_presumes_less(
    box: Watched, poll: Poll, trips: list[str]
) -> None:
    await box.ask_all(voters(poll, "a"))
    trips.clear()
    for number in range(200):
        assert told(await box.ask_all(voters(poll, "a", f"voter {number}"))) == [
            "repeated",
            "accepted",
        ]
    presumed = trips.count("presumed")
    assert 200 / (_MOST_CAUTION + 1) <= presumed <= 200 / (_MOST_CAUTION + 1) + 5
    for number in range(40):
        await box.ask_all(voters(poll, f"other {number}"))
    assert trips[-5:] == ["presumed"] * 5
    await assert_exact(poll, voters=241, version=241)


async def test_two_votes_of_one_voter_in_a_batch_are_decided_in_their_order(
    box: Watched, poll: Poll, trips: list[str]
) -> None:
    by_code = Cast(poll.code, Identity("a", "", "a"), {"choices": [2]})
    assert told(await box.ask_all([cast(poll, "a"), by_code])) == ["accepted", "replaced"]
    assert "presumed" not in trips
    await assert_exact(poll, voters=1, version=2)


async def test_a_voter_who_votes_elsewhere_in_the_same_moment_is_counted_once(
    box: Watched, poll: Poll
) -> None:
    """Seen when the vote is stored, after the look for earlier votes: by the constraint."""
    loop = asyncio.get_running_loop()
    has_voted, may_go = asyncio.Event(), asyncio.Event()

    def vote() -> None:
        with transaction.atomic():
            assert told(record_votes(voters(poll, "a"))) == ["accepted"]
            loop.call_soon_threadsafe(has_voted.set)
            asyncio.run_coroutine_threadsafe(may_go.wait(), loop).result(20)

    voting = asyncio.create_task(elsewhere(vote))
    await has_voted.wait()
    waiting = [box.ask(one) for one in voters(poll, "b", "a", "c")]
    await eventually(lambda: not len(box))  # under way, where it waits for the lock
    if columns.VENDOR == "postgresql":
        await eventually_waits_for_a_lock(box.loop_box._connection.other_end)
    may_go.set()
    answers: list[Any] = await asyncio.gather(*waiting)
    await voting
    assert told(answers) == ["accepted", "repeated", "accepted"]
    assert answers[1].vote.seq == 1
    assert box.left_to_thread == 0
    await assert_exact(poll, voters=3, version=3)


async def eventually_waits_for_a_lock(backend: int) -> None:
    def is_waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", [backend])
            return bool(cursor.fetchall() == [("Lock",)])

    await eventually_elsewhere(is_waiting)


async def eventually_elsewhere(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await elsewhere(condition):
            pass


async def test_boxes_that_presume_on_the_same_polls_are_exact(box: Watched, poll: Poll) -> None:
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
        *(elsewhere(lambda n=n: commit(batch(n))) for n in range(30)),  # type: ignore[misc]
        *(elsewhere(act) for _ in range(5)),
    )
    seen: set[str] = set()
    for number in range(40):
        seen.update(told(await box.ask_all(batch(number))))
    await others
    assert seen <= {"accepted", "repeated", "replaced", "poll_not_open"}

    def check() -> None:
        for one in polls:
            assert recount_poll(one.id) == []

    await elsewhere(check)
    assert box.left_to_thread == 0


def test_nothing_is_presumed_of_what_is_not_known() -> None:
    poll = make_poll()
    assert presume(voters(poll, "a")) is None
    record_votes(voters(poll, "a"))
    assert presume(voters(poll, "b")) is not None
    assert presume([*voters(poll, "b"), Cast("ABSENT", Identity("b", "", "b"), {})]) is None
    assert presume([*voters(poll, "b"), Cast(poll.id, Identity("c", "", "c"), None)]) is None
    assert presume([cast(poll, "b", 9)]) is None


@pytest.mark.servers
def test_on_postgresql_polls_are_locked_in_id_order_and_found_by_their_key() -> None:
    """A plan that lasts: two processes whose batches share polls must not deadlock."""
    polls = [make_poll() for _ in range(30)]
    states = sorted(get_states([one.id for one in polls]), key=lambda state: state.id)
    additions = []
    for place, state in enumerate(states):
        voter = voter_key(state.id, "device", Identity("a", "", "a"))
        tally = Tally(1, 1, {"1": 1}, None)
        additions.append(Addition(state, tally, [voter], [[1]], place))
    (asked,) = add_first_votes(additions, datetime.now(UTC))
    places = ", ".join(["%s"] * len(asked.parameters))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE polls_poll")
        for way in ("seqscan", "hashjoin", "mergejoin"):  # as on a loop's own connection
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE asked AS {loop_postgresql._numbered(asked.sql)}")
        cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE asked ({places})", asked.parameters)
        ((found,),) = cursor.fetchone()
        cursor.execute("DEALLOCATE asked")
    nodes = list(nodes_of(found["Plan"]))
    loop = next(one for one in nodes if one["Node Type"] == "Nested Loop" and finds_polls(one))
    outer, inner = loop["Plans"]
    assert (outer["Node Type"], outer["Alias"]) == ("Function Scan", "t")
    assert inner["Index Name"] == "polls_poll_pkey"
    assert {one["Index Name"] for one in nodes if "Index Name" in one} == {
        "polls_poll_pkey",
        "vote_one_a_voter",
    }


def nodes_of(plan: dict[str, Any]) -> Any:
    yield plan
    for one in plan.get("Plans", []):
        yield from nodes_of(one)


def finds_polls(node: dict[str, Any]) -> bool:
    return any(one.get("Relation Name") == "polls_poll" for one in node["Plans"])
