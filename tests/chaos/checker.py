"""Holds the ledger against the database: what was promised, and what really is.

Counts everything again by rules of its own, with nothing of the application's code.
"""

import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import orjson
import psycopg2

from tests.chaos.ledger import Disturbance, Ledger, PollLedger, Screen, Version, Violation

RULES = {
    "stored": "an acknowledged vote is in the database, with that seq and that choice",
    "once": "a voter has one current vote, and only who tried has voted",
    "retry": "a retry gets the first answer",
    "gapless": "seqs run from 1 without gap up to the poll's version",
    "recount": "the stored tally equals a recount of the votes",
    "order": "on one socket no version goes down",
    "committed": "every tally that was shown equals a committed state",
    "fresh": "every screen shows an acknowledged vote in time",
    "final": "after the close nothing counts, and final means final",
    "hidden": "hidden results reach nobody",
    "answers": "no 5xx but 503, and that with Retry-After",
}

LIVE_SECS = 2.0
WITHOUT_REDIS_SECS = 10.0
# After Redis is back the processes have to find it again.
REDIS_RETURN_SECS = 3.0
_SAMPLE_SECS = 0.05


class Row(NamedTuple):
    """A vote event as stored; `marks` is compact JSON or None."""

    epoch: int
    seq: int
    voter: str
    marks: str | None
    is_current: bool
    replaces: int | None


class StoredPoll(NamedTuple):
    epoch: int
    version: int
    voters: int
    votes: int
    counts: dict[str, int]


class Store:
    """The votes and tallies, read past the application."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._is_sqlite = database_url.startswith("sqlite")

    def _rows(self, sql: str, poll_id: str) -> Iterator[tuple[Any, ...]]:
        if self._is_sqlite:
            with closing(sqlite3.connect(self._url.removeprefix("sqlite:///"))) as lite:
                yield from lite.execute(sql.replace("%s", "?"), (poll_id.replace("-", ""),))
            return
        with closing(psycopg2.connect(self._url)) as server, server.cursor("chaos") as cursor:
            cursor.itersize = 20_000
            cursor.execute(sql, (poll_id,))
            yield from cursor

    def poll(self, poll_id: str) -> StoredPoll:
        sql = "SELECT epoch, version, voters, votes, counts FROM polls_poll WHERE id = %s"
        epoch, version, voters, votes, counts = next(self._rows(sql, poll_id))
        if isinstance(counts, str):
            counts = orjson.loads(counts)
        return StoredPoll(epoch, version, voters, votes, counts)

    def votes(self, poll_id: str) -> Iterator[Row]:
        sql = (
            "SELECT epoch, seq, voter, marks, is_current, replaces FROM polls_vote"
            " WHERE poll_id = %s ORDER BY epoch, seq"
        )
        for epoch, seq, voter, marks, is_current, replaces in self._rows(sql, poll_id):
            if isinstance(marks, str):
                marks = orjson.loads(marks)
            text = None if marks is None else orjson.dumps(_ordered(marks)).decode()
            yield Row(epoch, seq, str(voter), text, bool(is_current), replaces)


def _ordered(marks: Any) -> Any:
    if isinstance(marks, dict):
        return {option: marks[option] for option in sorted(marks, key=int)}
    return marks


class _Count:
    """A running recount of one epoch."""

    def __init__(self, kind: str, options: list[str]) -> None:
        self._kind = kind
        self.voters = self.votes = 0
        self.counts = dict.fromkeys(sorted(options), 0)

    def add(self, marks: str, sign: int) -> None:
        ballot = orjson.loads(marks)
        counted = list(ballot)[:1] if self._kind == "ranked" else list(ballot)
        self.voters += sign
        self.votes += sign * len(counted)
        for option in counted:
            self.counts[str(option)] += sign


def check(ledger: Ledger, store: Store) -> list[Violation]:
    """All rules; what is broken, by rule and case."""
    for poll_id, poll in ledger.polls.items():
        _check_poll(ledger, poll_id, poll, store)
        _check_closings(ledger, poll_id, poll)
    _check_screens(ledger)
    return ledger.violations


def _check_poll(ledger: Ledger, poll_id: str, poll: PollLedger, store: Store) -> None:
    stored = store.poll(poll_id)
    acks: dict[Version, list[str]] = {}
    for ack in poll.acks:
        acks.setdefault((ack.epoch, ack.seq), []).append(f"{ack.voter}|{ack.marks}")
    options = list(stored.counts)
    count = _Count(poll.kind, options)
    epoch, seq = 0, 0
    current: dict[str, Row] = {}
    rows_of: Counter[str] = Counter()
    shown = dict(poll.tallies)
    unsaid = acks.copy()

    def end_epoch() -> None:
        for row in current.values():
            if not row.is_current:
                ledger.violate("once", f"{poll_id} {row}: the newest is not the current one")

    for row in store.votes(poll_id):
        if row.epoch != epoch:
            end_epoch()
            epoch, seq, count, current = row.epoch, 0, _Count(poll.kind, options), {}
            rows_of.clear()
        seq += 1
        at = (row.epoch, row.seq)
        if row.seq != seq:
            ledger.violate("gapless", f"{poll_id}: {at} where {seq} is due")
            seq = row.seq
        before = current.pop(row.voter, None)
        if (before.seq if before else None) != row.replaces:
            ledger.violate("once", f"{poll_id} {at} beside {before}, replaces {row.replaces}")
        if before is not None and before.marks is not None:
            count.add(before.marks, -1)
        if row.marks is not None:
            count.add(row.marks, 1)
            current[row.voter] = row
        rows_of[row.voter] += 1
        if rows_of[row.voter] > 1 and not poll.vote_change:
            ledger.violate("once", f"{poll_id}: voter {row.voter} again at {at}")
        said = unsaid.pop(at, [])
        if any(one.partition("|")[2] != row.marks for one in said) or len(set(said)) > 1:
            ledger.violate("stored", f"{poll_id} {at} is {row.marks}; acknowledged as {said}")
        tally = shown.pop(at, None)
        if tally is not None and tally != (count.voters, count.votes, _text(count.counts)):
            ledger.violate("committed", f"{poll_id} {at}: {tally}, recount {count.counts}")
    end_epoch()
    for at, said in unsaid.items():
        ledger.violate("stored", f"{poll_id} {at} {said} was acknowledged and is not stored")
    for at, tally in shown.items():
        if at[1] != 0 or tally.votes:
            ledger.violate("committed", f"{poll_id} {at} was shown and never was: {tally}")
    if epoch != stored.epoch:  # nobody has voted since the reset
        count, seq = _Count(poll.kind, options), 0
    if stored.version != seq:
        ledger.violate("gapless", f"{poll_id}: version {stored.version}, last seq {seq}")
    recount = (count.voters, count.votes, count.counts)
    if (stored.voters, stored.votes, stored.counts) != recount:
        ledger.violate("recount", f"{poll_id}: {stored}, recount {recount}")
    if len(current) > len(poll.attempted):
        ledger.violate("once", f"{poll_id}: {len(current)} voters of {len(poll.attempted)}")


def _text(counts: dict[str, int]) -> str:
    return orjson.dumps(counts).decode()


def _check_closings(ledger: Ledger, poll_id: str, poll: PollLedger) -> None:
    closed = {one.version for one in poll.closings}
    for version in poll.finals - closed:
        ledger.violate("final", f"{poll_id}: final at {version}, closed at {sorted(closed)}")
    if not poll.closings:
        return
    acks = sorted(poll.acks, key=lambda ack: ack.answered)
    answered = [ack.answered for ack in acks]
    for one in poll.closings:
        first = bisect_left(answered, one.acknowledged)
        for ack in acks[first : bisect_left(answered, one.reopened)]:
            if (ack.epoch, ack.seq) > one.version:
                ledger.violate("final", f"{poll_id}: {ack} counted though {one}")


def _check_screens(ledger: Ledger) -> None:
    samples = {poll_id: _samples(poll) for poll_id, poll in ledger.polls.items()}
    by_start = sorted(ledger.disturbances, key=lambda one: one.start)
    relevant = {
        process: [one for one in by_start if process in one.processes]
        for process in {screen.process for screen in ledger.screens}
    }
    for screen in ledger.screens:
        if not ledger.polls[screen.poll].hidden:
            _check_fresh(ledger, screen, samples[screen.poll], relevant[screen.process])


def _samples(poll: PollLedger) -> list[tuple[float, Version]]:
    """When which version was acknowledged at the latest, thinned out."""
    samples: list[tuple[float, Version]] = []
    newest = (0, 0)
    for ack in sorted(poll.acks, key=lambda ack: ack.answered):
        newest = max(newest, (ack.epoch, ack.seq))
        if not samples or ack.answered - samples[-1][0] > _SAMPLE_SECS:
            samples.append((ack.answered, newest))
    if poll.acks:
        samples.append((max(ack.answered for ack in poll.acks), newest))
    return samples


def _check_fresh(
    ledger: Ledger,
    screen: Screen,
    samples: list[tuple[float, Version]],
    relevant: list[Disturbance],
) -> None:
    ended = screen.ended if screen.ended is not None else float("inf")
    place = 0
    for number in range(bisect_left(samples, (screen.opened, (0, 0))), len(samples)):
        at, version = samples[number]
        if at > ended:
            return
        while place < len(screen.at) and (screen.epochs[place], screen.versions[place]) < version:
            place += 1
        shown = screen.at[place] if place < len(screen.at) else float("inf")
        if shown - at <= LIVE_SECS:
            continue
        deadline = deadline_of(at, relevant)
        if shown > deadline and ended > deadline:
            ledger.violate(
                "fresh",
                f"{screen.poll} on process {screen.process}: {version} acknowledged at {at:.2f},"
                f" due {deadline:.2f}, shown {shown:.2f}",
            )
            return


def deadline_of(at: float, by_start: list[Disturbance]) -> float:
    """Until when a vote acknowledged at `at` must be on screen, given what was broken."""
    deadline = at + LIVE_SECS
    for one in by_start:
        if one.start >= deadline:
            break
        if one.what == "redis":
            if one.end + REDIS_RETURN_SECS > at:
                deadline = max(deadline, at + WITHOUT_REDIS_SECS)
        elif one.end > at:
            deadline = max(deadline, one.end + LIVE_SECS)
    return deadline
