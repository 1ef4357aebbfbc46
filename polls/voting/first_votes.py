"""First votes in one trip to the database, decided before the lock: optimistic concurrency control.

Most batches hold nothing but votes that count: one a voter, in open polls, by their rules. Such
a batch is decided by what its polls were when they were last seen under their locks. One
transaction then locks each poll, adds to whatever its totals are by now, gives the votes the
seqs that follow, and commits; nobody is asked in between, so nobody waits for a lock longer than
the database works. Of a poll whose epoch or revision is no longer the presumed one, nothing is
stored. Whatever was presumed in vain is decided under the lock, by `recording`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from polls import errors
from polls.identity.voters import voter_key
from polls.rules.ballot import BallotError, read_ballot, slot_of
from polls.rules.deciding import Verdict
from polls.rules.poll import PollState, Status
from polls.rules.tally import Tally
from polls.voting import known_polls
from polls.voting.additions import Addition, add_first_votes, added_from
from polls.voting.committer import Cast, Decided, Outcome
from polls.voting.statement import Rows, Statement
from polls.voting.vote_store import StoredVote


@dataclass(slots=True)
class Presumed:
    """A batch that counts if its polls are what they were. `statements` are a transaction."""

    statements: list[Statement]
    _additions: list[Addition]  # by place
    _votes: list[tuple[Addition, int]]  # with the index there
    _now: datetime

    def decided(self, rows: Rows) -> tuple[Decided, list[int]]:
        """What was stored, and which of the batch, counted from 0, were not.

        Args:
            rows: what `statements` selected, when they are committed.
        """
        after: dict[int, PollState] = {}
        for place, version, voters, votes, counts in added_from(rows):
            presumed = self._additions[place].presumed
            after[place] = presumed.with_totals(version, voters, votes, counts, None)
        outcomes, missed = [], []
        for number, (addition, index) in enumerate(self._votes):
            state = after.get(addition.place)
            if state is None:
                missed.append(number)
                continue
            vote = StoredVote(
                state.id, state.epoch, state.version - addition.tally.voters + index + 1,
                addition.voters[index], addition.marks[index], self._now,
            )  # fmt: skip
            outcomes.append(Outcome(Verdict.ACCEPTED, vote, state, None, self._now))
        return Decided(outcomes, [], [*after.values()]), missed


def presume(batch: Sequence[Cast]) -> Presumed | None:
    """The batch as first votes; None where it plainly is none, or too little is known of a poll.

    No I/O.
    """
    now, clock = datetime.now(UTC), time.monotonic()
    additions: dict[int, Addition] = {}  # by the known poll's own id in memory
    votes: list[tuple[Addition, int]] = []
    voters: set[str] = set()
    for ref, identity, body in batch:
        known = known_polls.find(ref)
        if known is None or body is None or clock >= known.trusted_until:
            return None
        state = known.state
        addition = additions.get(id(state))
        if addition is None:
            if state.status_at(now) != Status.OPEN:
                return None
            addition = additions[id(state)] = Addition(state, Tally.to_add())
        try:
            marks = read_ballot(state, body)
            voter = voter_key(state.id, state.voter_policy, identity, slot_of(state, body))
        except (BallotError, errors.PollError):
            return None
        voters.add(voter)
        votes.append((addition, len(addition.voters)))
        addition.voters.append(voter)
        addition.marks.append(marks)
        addition.tally.add(state.kind, marks)
    if len(voters) < len(votes):
        return None
    by_id = {addition.presumed.id.int: addition for addition in additions.values()}
    if len(by_id) < len(additions):  # by its code one is known as it was earlier
        return None
    in_order = [by_id[number] for number in sorted(by_id)]
    for place, addition in enumerate(in_order):
        addition.place = place
    return Presumed(add_first_votes(in_order, now), in_order, votes, now)
