"""Votes committed on the event loop: by the same rules, and by the thread when that fails."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, transaction

from polls import draining, errors, events, metrics
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.refs import PollRef
from polls.rules.ballot import read_ballot
from polls.rules.kinds import KINDS
from polls.voting import columns, committer, first_votes, known_polls
from polls.voting.ballot_box import commit
from polls.voting.committer import Cast, record_votes
from polls.voting.loop_box import LoopBox
from polls.voting.loop_connection import Answer, LoopConnection
from polls.voting.statement import Statement
from tests.polls.elsewhere import elsewhere, kill_backend
from tests.polls.loop_boxes import (
    CODES,
    LAST_WORD,
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


def kill_other_end(connection: LoopConnection) -> None:
    if columns.VENDOR == "postgresql":
        kill_backend(connection.other_end)
    else:
        os.kill(connection.other_end, signal.SIGKILL)


def before_statement(
    monkeypatch: pytest.MonkeyPatch, beginning: str, act: Callable[[LoopConnection], None]
) -> None:
    """Do this once, when a statement that begins like this is about to be sent."""
    run = LoopConnection.run
    done: list[bool] = []

    def watch(self: LoopConnection, statements: Any, *then: Any) -> None:
        if statements[0].sql.startswith(beginning) and not done:
            done.append(True)
            act(self)
        run(self, statements, *then)

    monkeypatch.setattr(LoopConnection, "run", watch)


async def test_a_turn_is_a_batch_and_the_thread_has_no_part(box: Watched, poll: Poll) -> None:
    answers = await box.ask_all([cast(poll, f"voter {number}") for number in range(20)])
    assert told(answers) == ["accepted"] * 20
    assert [one.vote.seq for one in answers] == list(range(1, 21))
    assert {one.state.version for one in answers} == {20}
    assert box.left_to_thread == len(box) == 0
    await assert_exact(poll, voters=20, version=20)


async def test_a_batch_has_a_size(box: Watched, poll: Poll) -> None:
    answers = await box.ask_all([cast(poll, f"voter {number}") for number in range(120)])
    assert sorted({one.state.version for one in answers}) == [50, 100, 120]
    assert box.left_to_thread == 0
    await assert_exact(poll, voters=120, version=120)


def some_casts(poll: Poll, chance: random.Random, number: int) -> list[Cast]:
    refs: list[PollRef] = [poll.id, poll.code, poll.id, "ABSENT"]
    ballots: list[Any] = [
        {"choices": [1]}, {"choices": [2]}, {"choices": [3, 1]}, {"choices": [9]}, {}, None,
        {"ratings": {"1": 5, "2": 1, "3": 2}}, {"ratings": {"1": 1, "2": 1, "3": 1}},
        {"choices": [1, 2, 3]}, {"choices": "one"},
    ]  # fmt: skip
    return [
        Cast(
            chance.choice(refs),
            Identity(name, name, name, account=None, voter_code=chance.choice([*CODES, None])),
            chance.choice(ballots),
        )
        for name in chance.choices("abcdef", k=number)
    ]


async def test_both_drivers_decide_alike(box: Watched) -> None:
    def make_polls() -> list[Poll]:
        policies = ("device", "code", "open", "account")
        return [make_poll(kind, policy) for kind in KINDS for policy in policies]

    ours, theirs = await elsewhere(make_polls), await elsewhere(make_polls)
    seen: set[str] = set()
    for mine, other in zip(ours, theirs, strict=True):
        for seed in range(6):
            on_loop = await box.ask_all(some_casts(mine, random.Random(seed), 12))
            batch = some_casts(other, random.Random(seed), 12)
            in_thread = await elsewhere(lambda batch=batch: record_votes(batch))  # type: ignore[misc]
            assert told(on_loop) == told(in_thread)
            for one, same in zip(on_loop, in_thread, strict=True):
                assert (one.vote is None) == (same.vote is None)
                if one.vote is not None and same.vote is not None:
                    fields = ("epoch", "seq", "marks", "is_current", "replaces")
                    assert [getattr(one.vote, name) for name in fields] == [
                        getattr(same.vote, name) for name in fields
                    ]
                    assert type(one.vote.voter) is type(same.vote.voter)
                    assert one.vote.cast_at.tzinfo is same.vote.cast_at.tzinfo
            seen.update(told(on_loop))

        def compare(mine: Poll = mine, other: Poll = other) -> None:
            mine.refresh_from_db()
            other.refresh_from_db()
            for name in ("version", "voters", "votes", "counts", "stars"):
                assert getattr(mine, name) == getattr(other, name)
            assert recount_poll(mine.id) == []

        await elsewhere(compare)
    assert box.left_to_thread == 0
    assert seen >= {"accepted", "repeated", "replaced", "retracted", "not_voted",
                    "invalid_voter_code", "voter_required", "poll_not_found"}  # fmt: skip


EARLIER_VOTES = {"postgresql": "SELECT vote.", "sqlite": "SELECT poll_id, epoch"}[columns.VENDOR]
# The last is the whole of a batch that is presumed to be first votes.
STATEMENTS = ["BEGIN", EARLIER_VOTES, "INSERT INTO polls_vote", PRESUMED]


@pytest.fixture
def beginning(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How one of a batch's statements begins."""
    if request.param == EARLIER_VOTES:  # a statement of its own where the policy is not known
        monkeypatch.setattr(known_polls, "find", lambda _: None)
    elif request.param != PRESUMED:
        decide_under_the_lock(monkeypatch)
    return str(request.param)


@pytest.fixture(params=["_end", "_end_presumed"])
def end(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What of a LoopBox ends a batch, which is one of that kind."""
    if request.param == "_end":
        decide_under_the_lock(monkeypatch)
    return str(request.param)


@pytest.mark.parametrize("beginning", STATEMENTS, indirect=True)
async def test_a_connection_killed_in_a_batch_costs_nobody_an_answer(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch, beginning: str
) -> None:
    def kill(self: LoopConnection) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(kill_other_end, self).result()

    before_statement(monkeypatch, beginning, kill)
    answers = await box.ask_all([cast(poll, f"voter {number}") for number in range(80)])
    assert told(answers) == ["accepted"] * 80
    assert box.left_to_thread == 80
    await assert_exact(poll, voters=80, version=80)
    await eventually(lambda: box.loop_box.is_ready())  # and it heals
    again = await box.ask_all([cast(poll, f"voter {number}") for number in range(80)])
    assert told(again) == ["repeated"] * 80
    assert box.left_to_thread == 80


async def test_a_commit_whose_answer_was_lost_is_answered_as_repeated(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    real = getattr(LoopBox, end)
    lost: list[bool] = []

    def lose_the_first(self: LoopBox, decided: Any, answer: Answer) -> None:
        if not lost:
            lost.append(True)
            raise OperationalError("server closed the connection unexpectedly")
        real(self, decided, answer)

    monkeypatch.setattr(LoopBox, end, lose_the_first)
    answers = await box.ask_all([cast(poll, name) for name in "abc"])
    assert told(answers) == ["repeated"] * 3
    await assert_exact(poll, voters=3, version=3)


async def test_a_commit_that_the_server_made_a_rollback_is_none(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    real = getattr(LoopBox, end)
    statuses: list[str] = []

    def refuse_the_first(self: LoopBox, decided: Any, answer: Answer) -> None:
        statuses.append(answer.done)
        real(self, decided, Answer([], "ROLLBACK") if len(statuses) == 1 else answer)

    monkeypatch.setattr(LoopBox, end, refuse_the_first)
    assert told(await box.ask_all([cast(poll, "a")])) == ["repeated"]  # by the thread
    assert statuses == [LAST_WORD if end == "_end_presumed" else "COMMIT"]
    assert box.left_to_thread == 1


async def test_a_vote_that_breaks_does_not_take_its_neighbours_down(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(state: Any, body: Any) -> Any:
        if body["choices"] == [3]:
            raise RuntimeError("a bug")
        return read_ballot(state, body)

    for module in (committer, first_votes):
        monkeypatch.setattr(module, "read_ballot", read)
    answers = await box.ask_all([cast(poll, "a"), cast(poll, "b", 3), cast(poll, "c", 2)])
    assert told(answers) == ["accepted", "server_error", "accepted"]
    await assert_exact(poll, voters=2, version=2)


@pytest.mark.parametrize("beginning", STATEMENTS, indirect=True)
async def test_a_statement_that_fails_is_left_to_the_thread(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch, beginning: str
) -> None:
    run = LoopConnection.run
    broken: list[bool] = []

    def break_one(self: LoopConnection, statements: Any, *then: Any) -> None:
        if statements[0].sql.startswith(beginning) and not broken:
            broken.append(True)
            statements = [Statement("SELECT no_such_thing")]
        run(self, statements, *then)

    monkeypatch.setattr(LoopConnection, "run", break_one)
    told_states: list[Any] = []
    monkeypatch.setattr(events, "tell_tallies_changed", told_states.append)
    answers = await box.ask_all([cast(poll, name) for name in "abc"])
    assert told(answers) == ["accepted"] * 3
    assert box.left_to_thread == 3
    assert [[state.version for state in states] for states in told_states] == [[3]]
    await assert_exact(poll, voters=3, version=3)


async def test_while_a_poll_is_locked_votes_gather_and_no_more_than_there_is_room_for(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box, "_capacity", 4)
    has_locked, may_go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        with transaction.atomic():
            Poll.objects.select_for_update().get(id=poll.id)
            loop.call_soon_threadsafe(has_locked.set)
            asyncio.run_coroutine_threadsafe(may_go.wait(), loop).result(20)

    holding = asyncio.create_task(elsewhere(hold))
    await has_locked.wait()
    first = [box.ask(cast(poll, name)) for name in "ab"]
    await eventually(lambda: not len(box))  # they are under way
    waiting = [box.ask(cast(poll, name)) for name in "cdef"]
    assert len(box) == 4
    refused = box.ask(cast(poll, "g"))
    assert isinstance(refused.exception(), errors.Overloaded)
    may_go.set()
    answers = await asyncio.gather(*first, *waiting)
    await holding
    assert told(answers) == ["accepted"] * 6
    assert [one.state and one.state.version for one in answers] == [2, 2, 6, 6, 6, 6]
    assert box.left_to_thread == 0


async def test_one_who_goes_away_takes_nobody_along(box: Watched, poll: Poll) -> None:
    first, second = box.ask(cast(poll, "a")), box.ask(cast(poll, "b"))
    first.cancel()
    assert (await second).vote.seq == 2  # type: ignore[union-attr]
    await assert_exact(poll, voters=2, version=2)


async def test_who_waits_when_the_loop_box_ends_is_answered(box: Watched, poll: Poll) -> None:
    under_way = box.ask(cast(poll, "a"))
    await asyncio.sleep(0)
    gathered = box.ask(cast(poll, "b"))
    box.close_loop_box()
    later = box.ask(cast(poll, "c"))
    async with asyncio.timeout(10):
        answers = [await one for one in (under_way, gathered, later)]
    assert {*told(answers)} <= {"accepted", "repeated"}
    await assert_exact(poll, voters=3, version=3)


async def test_a_process_that_drains_leaves_votes_to_the_thread(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "_is_draining", True)
    assert told(await box.ask_all([cast(poll, "a")])) == ["accepted"]
    assert box.left_to_thread == 1


async def test_a_loop_and_threads_on_the_same_polls_are_exact(box: Watched, poll: Poll) -> None:
    other = await elsewhere(make_poll)
    batches = [
        [cast(random.choice([poll, other]), random.choice("abcdefgh"), random.choice([1, 2]))
         for _ in range(10)] for _ in range(30)
    ]  # fmt: skip
    by_thread = asyncio.gather(*(elsewhere(lambda b=b: commit(b)) for b in batches[::2]))  # type: ignore[misc]
    for batch in batches[1::2]:
        assert {*told(await box.ask_all(batch))} <= {"accepted", "repeated", "replaced"}
    for answers in await by_thread:
        assert {*told(answers)} <= {"accepted", "repeated", "replaced"}

    def check() -> None:
        for one in (poll, other):
            assert recount_poll(one.id) == []
            seqs = Vote.objects.filter(poll=one).order_by("seq").values_list("seq", flat=True)
            assert list(seqs) == list(range(1, len(seqs) + 1))

    await elsewhere(check)
    assert box.left_to_thread == 0


@pytest.mark.servers
async def test_a_transaction_that_rests_is_ended_as_on_every_connection(box: Watched) -> None:
    shown: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    box.loop_box._connection.run(
        [Statement("SHOW idle_in_transaction_session_timeout")],
        lambda answer: shown.set_result(answer.rows),
    )  # fmt: skip
    assert await shown == [("10s",)]


@pytest.mark.servers
@pytest.mark.parametrize("way", ["seqscan", "hashjoin", "mergejoin"])
async def test_prepared_statements_go_by_keys(box: Watched, way: str) -> None:
    shown: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    box.loop_box._connection.run(
        [Statement(f"SHOW enable_{way}")], lambda answer: shown.set_result(answer.rows)
    )
    assert await shown == [("off",)]


async def test_batches_are_measured(
    box: Watched, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(metrics, "count_outcomes", counted.extend)
    await box.ask_all([cast(poll, "a"), cast(poll, "a"), cast(poll, "b", 9)])
    assert counted == ["accepted", "repeated", "invalid_option"]
