"""A ballot box whose event loop commits votes itself, and what is asked of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from django.db import IntegrityError, connection, transaction

from polls import events, services
from polls.identity.voters import Identity, voter_key_of_code
from polls.models import Poll
from polls.recount import recount_poll
from polls.refs import PollRef
from polls.voting import columns, known_polls
from polls.voting.ballot_box import BallotBox
from polls.voting.committer import Cast, Outcome, record_votes
from polls.voting.first_votes import presume
from polls.voting.loop_box import LoopBox
from tests.polls.elsewhere import elsewhere
from tests.realtime.waiting import eventually

# How a batch of first votes that is decided before the lock begins, and what it says at the end.
PRESUMED = {"postgresql": "WITH given", "sqlite": "BEGIN"}[columns.VENDOR]
LAST_WORD = {"postgresql": "SELECT 1", "sqlite": "COMMIT"}[columns.VENDOR]
CODES = [f"CODE-{number}" for number in range(4)]


def make_poll(kind: str = "single", policy: str = "device") -> Poll:
    poll, _ = services.create_poll(
        question="?", options=["Red", "Green", "Blue"], kind=kind, voter_policy=policy,
        vote_change=True, max_choices=1 if kind == "single" else 3,
    )  # fmt: skip
    for number, code in enumerate(CODES[:-1] if policy == "code" else []):
        poll.voter_codes.create(voter=voter_key_of_code(poll.id, code), number=number)
    return poll


def cast(poll: Poll, name: str, choice: int = 1) -> Cast:
    return Cast(poll.id, Identity(name, "", name), {"choices": [choice]})


def told(answers: Sequence[Any]) -> list[str]:
    """What became of each: a verdict, or the code of the refusal."""
    found = []
    for one in answers:
        error = one.error if isinstance(one, Outcome) else one
        found.append(one.verdict.value if error is None else error.code)
    return found


class Watched(BallotBox):
    """Knows how many votes were left to the thread."""

    left_to_thread = 0

    def _take_over(self, asked: Any) -> None:
        self.left_to_thread += len(asked)
        super()._take_over(asked)

    @property
    def loop_box(self) -> LoopBox:
        return self._loop_boxes[asyncio.get_running_loop()]

    async def ask_all(self, batch: Sequence[Cast]) -> list[Any]:
        async with asyncio.timeout(20):
            return await asyncio.gather(*map(self.ask, batch), return_exceptions=True)

    async def connect(self, poll: Poll) -> None:
        retraction = Cast(poll.id, Identity("nobody", "", ""), None)
        assert told(await self.ask_all([retraction])) == ["not_voted"]
        await eventually(lambda: self.loop_box.is_ready())
        self.left_to_thread = 0


async def assert_exact(poll: Poll, *, voters: int, version: int) -> None:
    """The poll says this, and its record of votes says the same."""

    def check() -> None:
        poll.refresh_from_db()
        assert (poll.voters, poll.version) == (voters, version)
        assert recount_poll(poll.id) == []

    await elsewhere(check)


def decide_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken for true of any poll."""
    monkeypatch.setattr(known_polls, "find", _find_long_ago)


def _find_long_ago(ref: PollRef) -> known_polls.Known | None:
    known = known_polls._known.get(ref)
    return known and known._replace(trusted_until=0.0)


def record_presuming(batch: Sequence[Cast]) -> list[Outcome]:
    """Record a batch as a LoopBox does, on Django's connection."""
    presumed = presume(batch)
    if presumed is None:
        return record_votes(batch)
    rows: Any = []
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, parameters, is_many in presumed.statements:
                if sql.startswith(("BEGIN", "COMMIT")):
                    continue
                (cursor.executemany if is_many else cursor.execute)(sql, parameters)
                if not is_many:
                    rows = cursor.fetchall()
    except IntegrityError:
        return record_votes(batch)
    if columns.VENDOR == "postgresql":
        rows = [(*totals, orjson.loads(counts)) for *totals, counts in rows]
    decided, missed = presumed.decided(rows)
    if decided.states:
        events.tell_tallies_changed(decided.states)
    later = iter(record_votes([batch[number] for number in missed]) if missed else [])
    at_once = iter(decided.outcomes)
    return [next(later if number in missed else at_once) for number in range(len(batch))]
