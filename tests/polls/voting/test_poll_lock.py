"""The poll's lock: what concurrent writers leave behind, and what they would without it.

A storm of threads, each with its own connection, records batches over the same few polls
while an owner closes and opens them again. The mutant, whose polls are read without
FOR UPDATE, must break what the storm is checked for; else the checks would prove nothing.
"""

import random
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

import pytest
from django.db import Error, OperationalError, connection

from polls import selectors, services
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.refs import PollRef
from polls.rules.deciding import Verdict
from polls.rules.kinds import KINDS
from polls.rules.poll import PollState
from polls.voting.committer import record_votes
from polls.voting.vote import Cast, Outcome
from tests.polls.kinds.ballots import some_bodies
from tests.polls.kinds.states import option_texts

pytestmark = [
    pytest.mark.servers,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_screens"),
]

WRITERS = 4
BATCHES = 25  # of each writer
VOTERS = 12
BALLOTS = {kind: some_bodies(kind, 20) for kind in KINDS}
DEADLINE_SECS = 60.0


def make_poll(kind: str) -> Poll:
    return services.create_poll(
        question="?", options=option_texts(kind), kind=kind, vote_change=True
    )[0]


def device(name: object) -> Identity:
    return Identity(device=f"device-{name}", address="", nonce="")


def random_cast(chance: random.Random, poll: Poll) -> Cast:
    """A vote, a changed vote or a retraction of one of a dozen voters."""
    body = None if chance.random() < 0.2 else chance.choice(BALLOTS[poll.kind])
    ref: PollRef = poll.id if chance.random() < 0.5 else poll.code
    return Cast(ref, device(chance.randrange(VOTERS)), body)


class Storm:
    """Writers, and one owner who closes a poll, looks whether it stays as it is, reopens it.

    `violations` is everything that went wrong, in words.
    """

    def __init__(self, polls: list[Poll], seed: int) -> None:
        self.polls = polls
        self.violations: list[str] = []
        self.acknowledged: dict[tuple[UUID, int, int], object] = {}
        self._seed = seed
        self._batches = threading.Semaphore(0)
        self._running = WRITERS
        self._lock = threading.Lock()

    def run(self) -> list[str]:
        with ThreadPoolExecutor(WRITERS + 1) as pool:
            tasks = [pool.submit(self._in_thread, self._write, number) for number in range(WRITERS)]
            tasks.append(pool.submit(self._in_thread, self._close_and_reopen, WRITERS))
            for task in tasks:
                task.result(DEADLINE_SECS)
        self._audit()
        return self.violations

    def _in_thread(self, work: Callable[[random.Random], None], number: int) -> None:
        try:
            work(random.Random(f"{self._seed}/{number}"))
        finally:
            connection.close()

    def _complain(self, text: str) -> None:
        with self._lock:
            self.violations.append(text)

    def _write(self, chance: random.Random) -> None:
        try:
            for _ in range(BATCHES):
                batch = [random_cast(chance, chance.choice(self.polls))
                         for _ in range(chance.randint(1, 6))]  # fmt: skip
                try:
                    outcomes = record_votes(batch)
                except Error as error:
                    self._complain(f"a batch failed: {error!r}")
                    continue
                self._note(outcomes)
                self._batches.release()
        finally:
            with self._lock:
                self._running -= 1
            self._batches.release()

    def _note(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            vote = outcome.vote
            if vote is None or outcome.verdict in (Verdict.REFUSED, Verdict.REPEATED):
                continue
            with self._lock:
                known = self.acknowledged.setdefault((vote.poll_id, vote.epoch, vote.seq), vote)
            if known is not vote:
                self._complain(f"seq {vote.seq} was given twice")

    def _close_and_reopen(self, chance: random.Random) -> None:
        while self._is_raining():
            poll_id = chance.choice(self.polls).id
            closed = services.close_poll(poll_id)
            assert closed.closed_at is not None
            before = Poll.objects.get(id=poll_id)
            for _ in range(3):  # others' batches, many of them with votes for this poll
                if self._is_raining():
                    self._batches.acquire(timeout=DEADLINE_SECS)
            self._check_still_closed(before, closed.closed_at)
            services.open_poll(poll_id)
            if chance.random() < 0.2:
                services.reset_poll(poll_id)

    def _is_raining(self) -> bool:
        with self._lock:
            return self._running > 0

    def _check_still_closed(self, before: Poll, closed_at: datetime) -> None:
        after = Poll.objects.get(id=before.id)
        if (after.version, after.counts) != (before.version, before.counts):
            self._complain(f"version {before.version} was {after.version} while closed")
        if Vote.objects.filter(
            poll_id=before.id, epoch=before.epoch, cast_at__gt=closed_at
        ).exists():
            self._complain("a vote was cast after the close")

    def _audit(self) -> None:
        for poll in self.polls:
            self.violations += [f"{one.what}: {one.stored} is {one.counted}"
                                for one in recount_poll(poll.id)]  # fmt: skip
            seqs = list(Vote.objects.filter(poll_id=poll.id).order_by("epoch", "seq")
                        .values_list("epoch", "seq"))  # fmt: skip
            for epoch in {epoch for epoch, _ in seqs}:
                ours = [seq for one, seq in seqs if one == epoch]
                if ours != list(range(1, len(ours) + 1)):
                    self.violations.append(f"gaps in epoch {epoch}")
            acknowledged = {key[1:] for key in self.acknowledged if key[0] == poll.id}
            if acknowledged != set(seqs):
                self.violations.append("what was acknowledged is not what is recorded")


def polls_of_every_kind() -> list[Poll]:
    return [make_poll(kind) for kind in KINDS]


def test_a_storm_of_batches_leaves_every_tally_exact() -> None:
    seed = random.randrange(2**32)
    assert Storm(polls_of_every_kind(), seed).run() == [], f"seed {seed}"


def test_the_same_storm_without_the_lock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "lock_states", selectors.get_states)
    assert Storm(polls_of_every_kind(), seed=1).run() != []


def in_two_threads(first: Callable[[], object], second: Callable[[], object]) -> list[object]:
    """What both did, or raised, when they ran at the same time."""

    def run(work: Callable[[], object]) -> object:
        try:
            return work()
        except Error as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        tasks = [pool.submit(run, work) for work in (first, second)]
        return [task.result(DEADLINE_SECS) for task in tasks]


def test_without_the_lock_two_batches_would_be_given_the_same_seq(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both_have_read = threading.Barrier(2, timeout=DEADLINE_SECS)

    def lock_nothing_together(refs: Collection[PollRef]) -> list[PollState]:
        states = selectors.get_states(refs)
        both_have_read.wait()
        return states

    poll = make_poll("single")
    monkeypatch.setattr(selectors, "lock_states", lock_nothing_together)
    outcomes = in_two_threads(
        lambda: record_votes([Cast(poll.id, device(1), {"choices": [1]})]),
        lambda: record_votes([Cast(poll.id, device(2), {"choices": [2]})]),
    )

    assert [type(one).__name__ for one in outcomes].count("IntegrityError") == 1


class Gate:
    """Stops a batch between reading the polls and recording, as far as the lock lets it."""

    def __init__(self, lock: Callable[[Collection[PollRef]], list[PollState]]) -> None:
        self._lock = lock
        self.has_read = threading.Event()
        self.may_go_on = threading.Event()

    def lock_states(self, refs: Collection[PollRef]) -> list[PollState]:
        states = self._lock(refs)
        self.has_read.set()
        self.may_go_on.wait(DEADLINE_SECS)
        return states


def close_during_a_vote(gate: Gate, poll: Poll) -> datetime | None:
    """Close the poll while a batch that has read it as open is about to record a vote.

    Returns:
        When it was closed; None when the owner had to wait for the batch.
    """

    def close() -> datetime | None:
        assert gate.has_read.wait(DEADLINE_SECS)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '300ms'")
        try:
            return services.close_poll(poll.id).closed_at
        except OperationalError:
            return None
        finally:
            gate.may_go_on.set()

    _, closed_at = in_two_threads(
        lambda: record_votes([Cast(poll.id, device(1), {"choices": [1]})]), close
    )
    assert closed_at is None or isinstance(closed_at, datetime), closed_at
    return closed_at


def test_a_close_waits_for_the_votes_that_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(selectors.lock_states)
    poll = make_poll("single")
    monkeypatch.setattr(selectors, "lock_states", gate.lock_states)

    assert close_during_a_vote(gate, poll) is None
    assert Poll.objects.get(id=poll.id).counts == {"1": 1, "2": 0, "3": 0, "4": 0}
    assert recount_poll(poll.id) == []


def test_without_the_lock_a_vote_would_be_recorded_after_the_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(selectors.get_states)
    poll = make_poll("single")
    monkeypatch.setattr(selectors, "lock_states", gate.lock_states)

    closed_at = close_during_a_vote(gate, poll)

    assert closed_at is not None
    assert Vote.objects.filter(poll=poll, cast_at__gt=closed_at).exists()
