"""Batches of votes: decided in order, committed together, healed one by one."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection

from polls import errors, events, selectors, services
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.rules.deciding import Verdict
from polls.rules.kinds import KINDS
from polls.rules.poll import PollState
from polls.voting import committer, sql
from polls.voting.committer import record_votes, store
from polls.voting.vote import Cast, Outcome, StoredVote
from tests.polls.kinds.ballots import some_bodies
from tests.polls.kinds.states import option_texts

pytestmark = pytest.mark.django_db(transaction=True)


def make_poll(**fields: Any) -> Poll:
    fields = {"options": ["Red", "Green", "Blue"], "question": "?"} | fields
    return services.create_poll(**fields)[0]


def device(name: str) -> Identity:
    return Identity(device=name, address="198.51.100.7", nonce=name)


def cast(poll: Poll, name: str, *choices: int) -> Cast:
    return Cast(poll.id, device(name), {"choices": list(choices)})


def retract(poll: Poll, name: str) -> Cast:
    return Cast(poll.id, device(name), None)


def verdicts(outcomes: Sequence[Outcome | BaseException]) -> list[str]:
    """What became of each: a verdict, or the code of the refusal."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, errors.PollError):
            found.append(outcome.code)
        else:
            assert isinstance(outcome, Outcome)
            found.append(outcome.error.code if outcome.error else outcome.verdict.value)
    return found


def assert_exact(poll: Poll, *, voters: int, version: int) -> None:
    """The poll says this, and its record of votes says the same."""
    poll.refresh_from_db()
    assert (poll.voters, poll.version) == (voters, version)
    assert recount_poll(poll.id) == []


def test_votes_get_their_numbers_in_order_of_arrival() -> None:
    poll = make_poll()
    outcomes = record_votes([cast(poll, name, 1) for name in "abc"])
    assert [one.vote.seq for one in outcomes if one.vote] == [1, 2, 3]
    assert [one.state.version for one in outcomes if one.state] == [3, 3, 3]
    assert_exact(poll, voters=3, version=3)


def test_two_votes_of_one_voter_in_a_batch_are_decided_in_order() -> None:
    poll = make_poll()
    outcomes = record_votes([cast(poll, "a", 1), cast(poll, "a", 1), cast(poll, "a", 2)])
    assert verdicts(outcomes) == ["accepted", "repeated", "already_voted"]
    assert outcomes[0].vote == outcomes[1].vote == outcomes[2].vote
    assert_exact(poll, voters=1, version=1)


def test_a_vote_replaced_in_its_own_batch_leaves_its_history() -> None:
    poll = make_poll(vote_change=True)
    batch = [cast(poll, "a", 1), cast(poll, "a", 2), cast(poll, "b", 3), cast(poll, "a", 3)]
    outcomes = record_votes(batch)
    assert verdicts(outcomes) == ["accepted", "replaced", "accepted", "replaced"]
    history = Vote.objects.order_by("seq").values_list("seq", "marks", "is_current", "replaces")
    assert list(history) == [
        (1, [1], False, None),
        (2, [2], False, 1),
        (3, [3], True, None),
        (4, [3], True, 2),
    ]
    assert_exact(poll, voters=2, version=4)
    assert poll.counts == {"1": 0, "2": 0, "3": 2}


def test_a_vote_taken_back_in_its_own_batch_and_cast_again() -> None:
    poll = make_poll(vote_change=True)
    outcomes = record_votes(
        [cast(poll, "a", 1), retract(poll, "a"), retract(poll, "a"), cast(poll, "a", 1)]
    )
    assert verdicts(outcomes) == ["accepted", "retracted", "not_voted", "accepted"]
    assert_exact(poll, voters=1, version=3)


def test_an_earlier_batch_is_replaced_and_retracted() -> None:
    poll = make_poll(vote_change=True)
    record_votes([cast(poll, "a", 1), cast(poll, "b", 1)])
    assert verdicts(record_votes([cast(poll, "a", 2), retract(poll, "b")])) == [
        "replaced",
        "retracted",
    ]
    assert_exact(poll, voters=1, version=4)
    assert Vote.objects.filter(is_current=True).count() == 1


def test_one_batch_serves_many_polls_by_id_and_by_code() -> None:
    first, second, closed = make_poll(), make_poll(kind="multiple", max_choices=3), make_poll()
    services.close_poll(closed.id)
    outcomes = record_votes(
        [
            cast(first, "a", 1),
            Cast(first.code, device("b"), {"choices": [1]}),
            cast(second, "a", 3, 1),
            cast(closed, "a", 1),
            Cast("ABSENT", device("a"), {"choices": [1]}),
            cast(first, "c", 9),
        ]
    )
    assert verdicts(outcomes) == [
        "accepted", "accepted", "accepted", "poll_closed", "poll_not_found", "invalid_option",
    ]  # fmt: skip
    assert_exact(first, voters=2, version=2)
    assert_exact(second, voters=1, version=1)
    assert_exact(closed, voters=0, version=0)


def test_what_changed_is_published_once_a_poll_and_only_what_changed() -> None:
    poll, other = make_poll(), make_poll()
    published: list[Any] = []

    def listen(states: Any, **_: Any) -> None:
        published.append([(state.id, state.version) for state in states])

    events.tallies_changed.connect(listen)
    try:
        record_votes([cast(poll, "a", 1), cast(poll, "b", 1), cast(other, "a", 9)])
        record_votes([cast(poll, "a", 1), cast(poll, "b", 2)])
    finally:
        events.tallies_changed.disconnect(listen)
    assert published == [[(poll.id, 2)]]


def test_votes_that_were_not_committed_are_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    poll = make_poll()
    published: list[Any] = []
    monkeypatch.setattr(events, "publish_tallies_changed", published.append)

    def fail(*_: Any) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr(sql, "write", fail)
    with pytest.raises(OperationalError):
        record_votes([cast(poll, "a", 1)])
    assert published == []
    assert_exact(poll, voters=0, version=0)
    assert not Vote.objects.exists()


def break_on(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    """Let every batch fail that holds the vote of this voter."""
    from polls.rules.ballot import read_ballot

    def read(state: Any, body: Any) -> Any:
        if body.get("by") == name:
            raise error
        return read_ballot(state, body)

    monkeypatch.setattr(committer, "read_ballot", read)


def test_a_vote_that_breaks_does_not_take_its_neighbours_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll = make_poll()
    break_on(monkeypatch, "b", RuntimeError("a bug"))
    broken = Cast(poll.id, device("b"), {"choices": [1], "by": "b"})
    outcomes = store([cast(poll, "a", 1), broken, cast(poll, "c", 2)])
    assert verdicts(outcomes) == ["accepted", "server_error", "accepted"]
    assert_exact(poll, voters=2, version=2)


def test_a_vote_that_the_database_refuses_does_not_take_its_neighbours_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll = make_poll()
    write = sql.write

    def write_one_without_voter(
        states: Sequence[PollState], appended: Sequence[StoredVote], *rest: Any
    ) -> None:
        nobody: Any = None
        wrong = [one._replace(voter=nobody) if one.marks == [3] else one for one in appended]
        write(states, wrong, *rest)

    monkeypatch.setattr(sql, "write", write_one_without_voter)
    outcomes = store([cast(poll, "a", 1), cast(poll, "b", 3), cast(poll, "c", 1)])
    assert verdicts(outcomes) == ["accepted", "server_error", "accepted"]
    assert_exact(poll, voters=2, version=2)


@pytest.mark.servers
def test_a_connection_that_died_is_healed_without_anybody_noticing() -> None:
    poll = make_poll()
    connection.ensure_connection()
    assert connection.connection is not None
    connection.connection.close()
    assert verdicts(store([cast(poll, "a", 1)])) == ["accepted"]
    assert_exact(poll, voters=1, version=1)


def test_while_the_database_is_away_every_vote_gets_that_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll = make_poll()
    tries = 0

    def refuse(*_: Any) -> Any:
        nonlocal tries
        tries += 1
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(selectors, "lock_states", refuse)
        answers = store([cast(poll, "a", 1), cast(poll, "b", 1)])
    assert verdicts(answers) == ["overloaded", "overloaded"]
    assert tries == 2
    assert_exact(poll, voters=0, version=0)
    assert verdicts(store([cast(poll, "a", 1)])) == ["accepted"]


@pytest.mark.servers
def test_a_database_that_takes_only_reads_is_away_until_it_takes_votes_again() -> None:
    """As a standby that is not the primary yet, behind a name that leads to it already."""
    poll = make_poll()
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    connection.close()
    try:
        assert verdicts(store([cast(poll, "a", 1), cast(poll, "b", 1)])) == ["overloaded"] * 2
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET transaction_read_only = off")
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    assert verdicts(store([cast(poll, "a", 1)])) == ["accepted"]
    connection.close()
    assert verdicts(store([cast(poll, "b", 1)])) == ["accepted"]
    assert_exact(poll, voters=2, version=2)


def test_a_commit_whose_answer_was_lost_is_answered_as_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll = make_poll()
    answers: list[list[Outcome]] = []
    real = committer.record_votes

    def lose_the_first_answer(batch: Any) -> Any:
        answers.append(real(batch))
        if len(answers) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return answers[-1]

    monkeypatch.setattr(committer, "record_votes", lose_the_first_answer)
    assert verdicts(store([cast(poll, "a", 1)])) == ["repeated"]
    assert_exact(poll, voters=1, version=1)


def in_threads(number: int, work: Any) -> list[Any]:
    """What `work(0)` … `work(number - 1)` return, all started at the same moment."""
    start = threading.Barrier(number)

    def run(place: int) -> Any:
        try:
            start.wait(timeout=10)
            return work(place)
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def test_batches_that_lock_the_same_polls_in_any_order_do_not_deadlock() -> None:
    polls = [make_poll(vote_change=True) for _ in range(6)]
    batches = 15

    def vote(place: int) -> list[str]:
        order = random.Random(place)
        found = []
        for number in range(batches):
            shuffled = order.sample(polls, len(polls))
            batch = [
                Cast(poll.id if number % 2 else poll.code, device(f"{place}"),
                     {"choices": [order.randint(1, 3)]})
                for poll in shuffled
            ]  # fmt: skip
            found += verdicts(store(batch))
        return found

    for found in in_threads(3, vote):
        assert set(found) <= {"accepted", "replaced", "repeated"}
    for poll in polls:
        poll.refresh_from_db()
        assert_exact(poll, voters=3, version=poll.version)


@pytest.mark.parametrize("choices", [(1, 1), (1, 2)])
def test_two_votes_of_one_voter_at_once_count_once(choices: tuple[int, int]) -> None:
    rounds = 20
    polls = [make_poll() for _ in range(rounds)]

    def vote(place: int) -> list[str]:
        return [verdicts(store([cast(poll, "a", choices[place])]))[0] for poll in polls]

    second = "repeated" if choices[0] == choices[1] else "already_voted"
    for pair in zip(*in_threads(2, vote), strict=True):
        assert sorted(pair) == sorted(("accepted", second))
    for poll in polls:
        assert_exact(poll, voters=1, version=1)


def test_no_vote_is_counted_after_the_close() -> None:
    for _ in range(5):
        poll = make_poll()

        def work(place: int, poll: Poll = poll) -> Any:
            if place == 0:
                return services.close_poll(poll.id)
            return verdicts(store([cast(poll, f"{place}", 1)]))[0]

        found = in_threads(4, work)
        assert set(found[1:]) <= {"accepted", "poll_closed"}
        poll.refresh_from_db()
        assert poll.closed_at is not None
        late = Vote.objects.filter(poll=poll, cast_at__gt=poll.closed_at)
        assert not late.exists()
        assert_exact(poll, voters=found.count("accepted"), version=found.count("accepted"))


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_tally_equals_a_recount_after_anything(kind: str) -> None:
    poll = make_poll(kind=kind, options=option_texts(kind), vote_change=True)
    bodies = some_bodies(kind, 20)
    order = random.Random(kind)
    expected: dict[str, Any] = {}
    for _ in range(12):
        batch = []
        for _ in range(10):
            name = order.choice("abcdefgh")
            body = None if order.random() < 0.2 else order.choice(bodies)
            batch.append(Cast(poll.id, device(name), body))
        for one, outcome in zip(batch, record_votes(batch), strict=True):
            if outcome.verdict == Verdict.RETRACTED:
                del expected[one.identity.device]
            elif outcome.error is None:
                assert outcome.vote is not None
                expected[one.identity.device] = outcome.vote.marks
    assert expected
    poll.refresh_from_db()
    assert_exact(poll, voters=len(expected), version=poll.version)


def test_earlier_votes_of_many_polls_are_all_found() -> None:
    polls = [make_poll() for _ in range(5)]
    casts = [cast(poll, name, 1) for poll in polls for name in "abc"]
    assert set(verdicts(store(casts))) == {"accepted"}
    assert set(verdicts(store(casts))) == {"repeated"}


def test_a_batch_has_six_queries_at_most(django_assert_max_num_queries: Any) -> None:
    polls = [make_poll(vote_change=True) for _ in range(5)]
    first = [cast(poll, name, 1) for poll in polls for name in "abc"]
    with django_assert_max_num_queries(6 + 2):  # BEGIN and COMMIT
        record_votes(first)
    changed = [cast(poll, name, 2) for poll in polls for name in "abc"]
    with django_assert_max_num_queries(6 + 2):
        record_votes(changed)
