"""First votes in one statement, decided before the lock: optimistic concurrency control.

They are decided by what their polls were when they were last read. The statement, which is its own
transaction, locks the polls in id order, adds to their totals and stores the votes. It stores
nothing of a poll whose epoch or revision has changed, and nothing at all if any voter of the batch
has voted before. Why that is exact: docs/decisions/first-votes-in-one-trip.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any

from polls import errors
from polls.identity.voters import voter_key
from polls.refs import PollRef
from polls.rules.ballot import BallotError, Marks, slot_of
from polls.rules.deciding import Verdict
from polls.rules.kinds import kind_of
from polls.rules.kinds.kind import Kind
from polls.rules.poll import CAST_BY_TOKEN, PollState, Status
from polls.rules.tally import Tally
from polls.voting.vote import Cast, Outcome, StoredVote

# A poll's votes follow each other in the arrays, so nothing has to be joined with them.
ADD_FIRST_VOTES = """WITH given AS (
        SELECT $1::uuid[] AS voters, $2::integer[] AS epochs, $3::jsonb AS marks,
            $4::timestamptz AS cast_at
    ), saved AS (
        UPDATE polls_poll AS poll SET version = version + t.added, voters = poll.voters + t.added,
            votes = poll.votes + t.votes, counts = (
                SELECT jsonb_object_agg(key, value::bigint + coalesce((t.counts -> key)::bigint, 0))
                FROM jsonb_each(poll.counts))
        FROM unnest($5::uuid[], $6::integer[], $7::integer[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::jsonb[]) WITH ORDINALITY
            AS t (id, epoch, revision, start, added, votes, counts, place)
        WHERE poll.id = t.id AND poll.epoch = t.epoch AND poll.revision = t.revision
            AND NOT EXISTS (SELECT FROM given, unnest(voters, epochs) AS one (voter, epoch)
                CROSS JOIN LATERAL (SELECT FROM polls_vote WHERE is_current
                    AND voter = one.voter AND epoch = one.epoch LIMIT 1) AS earlier)
        RETURNING place - 1 AS place, poll.id, poll.epoch, version, poll.voters, poll.votes,
            poll.counts, start, added
    ), stored AS (
        INSERT INTO polls_vote
            (poll_id, epoch, seq, voter, marks, cast_at, is_current, replaces)
        SELECT id, epoch, version - added + nth, given.voters[start + nth],
            given.marks -> (start + nth - 1)::integer, cast_at, true, NULL
        FROM given, saved CROSS JOIN LATERAL generate_series(1, added) AS nth
    ) SELECT place, version, voters, votes, counts FROM saved"""


@dataclass(slots=True)
class Addition:
    """First votes of one poll, to be added if its epoch and revision are still those of `state`.

    `tally` is of these votes alone; `numbers` are their places in the batch.
    """

    state: PollState
    kind: Kind
    tally: Tally
    numbers: list[int] = field(default_factory=list)
    voters: list[str] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)

    def take(self, number: int, voter: str, body: Mapping[str, Any] | None) -> None:
        """Take a voter's only vote of the batch, if it is a valid ballot."""
        if body is None:
            return
        try:
            marks = self.kind.read(self.state, body)
        except BallotError:
            return
        self.numbers.append(number)
        self.voters.append(voter)
        self.marks.append(marks)
        self.kind.count(self.tally, marks, 1)


class FirstVotes:
    """Those votes of a batch that can be stored by `ADD_FIRST_VOTES`. No I/O.

    Args:
        batch: votes in order of arrival.
        states: polls as they were last read; votes of others are left out.
        now: decides whether a poll is open, and is the votes' `cast_at`.
    """

    def __init__(
        self, batch: Sequence[Cast], states: Mapping[PollRef, PollState], now: datetime
    ) -> None:
        self.now = now
        taken = {ref: one for ref, one in states.items() if _takes_first_votes(one, now)}
        by_id = {
            state.id: Addition(state, kind_of(state.kind), Tally.to_add())
            for state in taken.values()
        }
        by_ref = {ref: by_id[state.id] for ref, state in taken.items()}
        for voter, vote in _lone_votes(batch, by_ref).items():
            if vote is not None:
                number, addition = vote
                addition.take(number, voter, batch[number].body)
        self._additions = [one for _, one in sorted(by_id.items()) if one.voters]

    def __len__(self) -> int:
        return sum(len(one.voters) for one in self._additions)

    def arguments(self) -> list[Any]:
        """The parameters of `ADD_FIRST_VOTES`; polls in the order of their ids, so that no two
        batches deadlock."""
        additions = self._additions
        states = [one.state for one in additions]
        added = [len(one.voters) for one in additions]
        return [
            [voter for one in additions for voter in one.voters],
            [one.state.epoch for one in additions for _ in one.voters],
            [marks for one in additions for marks in one.marks],
            self.now,
            [state.id for state in states],
            [state.epoch for state in states],
            [state.revision for state in states],
            [0, *accumulate(added[:-1])],
            added,
            [one.tally.votes for one in additions],
            [one.tally.counts for one in additions],
        ]

    def outcomes(self, rows: Iterable[Sequence[Any]]) -> dict[int, Outcome]:
        """What was stored, by place in the batch.

        Args:
            rows: what `ADD_FIRST_VOTES` selected: one a poll that was still the same.
        """
        found: dict[int, Outcome] = {}
        for place, version, voters, votes, counts in rows:
            addition = self._additions[place]
            state = addition.state.with_totals(version, voters, votes, counts, None)
            first = version - len(addition.voters) + 1
            for seq, (number, voter, marks) in enumerate(
                zip(addition.numbers, addition.voters, addition.marks, strict=True), start=first
            ):
                vote = StoredVote(state.id, state.epoch, seq, voter, marks, self.now)
                found[number] = Outcome(Verdict.ACCEPTED, vote, state, None, self.now)
        return found


def _takes_first_votes(state: PollState, now: datetime) -> bool:
    """Not where a code has to be looked up or a caster to be kept, nor where totals are more than a
    sum an option."""
    is_simple = kind_of(state.kind).is_sum and state.voter_policy not in CAST_BY_TOKEN
    return is_simple and state.status_at(now) == Status.OPEN


def _lone_votes(
    batch: Sequence[Cast], additions: Mapping[PollRef, Addition]
) -> dict[str, tuple[int, Addition] | None]:
    """By voter, a vote's place in the batch and what it may be added to; None for a voter with
    several votes, which are to be decided in their order."""
    found: dict[str, tuple[int, Addition] | None] = {}
    for number, (ref, identity, body) in enumerate(batch):
        addition = additions.get(ref)
        if addition is None:
            continue
        try:
            voter = voter_key(addition.state, identity, slot_of(addition.state, body))
        except errors.PollError:
            continue
        found[voter] = None if voter in found else (number, addition)
    return found
