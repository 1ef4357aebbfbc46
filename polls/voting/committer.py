"""The committer decides and stores any batch of votes, on any database: lock, decide, write.

A batch is one transaction. Under each poll's lock every vote is decided by `polls.rules`, gets the
poll's next `seq` and moves the totals; votes, totals and version are committed together or not at
all. `fast_lane` is the short way for first votes on PostgreSQL.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import transaction

from polls import errors, events, metrics, selectors
from polls.database.healing import answer_each
from polls.database.outages import last_write
from polls.database.stale_backends import end_stale_backends
from polls.identity.voter_codes import unknown_codes
from polls.identity.voters import may_repeat_from_before
from polls.refs import PollRef
from polls.rules.ballot import BallotError, Marks, Refusal, read_ballot, slot_of
from polls.rules.deciding import Verdict, decide_vote, refusal_by_status
from polls.rules.poll import PollState
from polls.rules.tally import Tally
from polls.voting import sql
from polls.voting.vote import Cast, Outcome, StoredVote, Voter

_USED = "There is a vote for this voter code or address; the token that cast it alone may see it."


def store(batch: Sequence[Cast]) -> list[Outcome | BaseException]:
    """Record a batch; heals a connection that died, and spares a bad vote's neighbours.

    A commit whose answer was lost may have happened. Trying again is safe: a stored vote is
    answered as repeated.

    Returns:
        One Outcome a vote, same order, or the exception to answer with: Overloaded where the
        database is away, ServerError for a vote that breaks.
    """
    answers = answer_each(_store, batch)
    failures = [one for one in answers if isinstance(one, errors.PollError)]
    metrics.count_outcomes(one.code for one in failures)
    for failure in failures:
        if failure.__cause__ is not None:
            last_write.was_refused(failure.__cause__)
    return answers


def _store(batch: Sequence[Cast]) -> list[Outcome]:
    started = time.perf_counter()
    end_stale_backends()
    outcomes = record_votes(batch)
    last_write.was_stored()
    metrics.measure_batch(outcomes, time.perf_counter() - started)
    return outcomes


def record_votes(batch: Sequence[Cast]) -> list[Outcome]:
    """Decide and store a batch of votes in one transaction; then `events.tallies_changed`.

    Locks each poll concerned once, in id order, so that no two batches deadlock. At most six
    queries a batch, however many votes and polls.

    Args:
        batch: votes in order of arrival; two of one voter are decided in that order.
    Returns:
        One Outcome a vote, same order: accepted (with seq), repeated, replaced, retracted or
        refused.
    Raises:
        DatabaseError: nothing was stored. Where the connection broke at COMMIT, that is not known.
    """
    with transaction.atomic():
        locked = selectors.lock_states({cast.ref for cast in batch})
        polls = [LockedPoll(state, Tally.of(state)) for state in locked]
        by_ref = {ref: poll for poll in polls for ref in (poll.state.id, poll.state.code)}
        now = datetime.now(UTC)
        voters = _voters_of(batch, by_ref)
        for vote in sql.current_votes([one for one in voters if isinstance(one, Voter)]).values():
            by_ref[vote.poll_id].current[vote.voter] = vote
        decided = [
            _decide(cast, by_ref[voter.poll_id], voter, now)
            if isinstance(voter, Voter)
            else Outcome(Verdict.REFUSED, error=voter)
            for cast, voter in zip(batch, voters, strict=True)
        ]
        after = selectors.by_ref(poll.state_after() for poll in polls)
        states = [after[poll.state.id] for poll in polls if poll.appended]
        appended = [vote for poll in polls for vote in poll.appended.values()]
        superseded = [vote for poll in polls for vote in poll.superseded]
        sql.write(states, appended, superseded, now)
    if states:
        events.publish_tallies_changed(states)
    return [
        Outcome(one.verdict, one.vote, after.get(cast.ref), one.error, now)
        for cast, one in zip(batch, decided, strict=True)
    ]


@dataclass(slots=True)
class LockedPoll:
    """One poll under its lock while a batch is being decided.

    Attributes:
        current: the votes that count of voters in the batch, by voter key.
        appended: new vote events by seq.
        superseded: votes of earlier batches that count no more.
    """

    state: PollState
    tally: Tally
    current: dict[str, StoredVote] = field(default_factory=dict)
    appended: dict[int, StoredVote] = field(default_factory=dict)
    superseded: list[StoredVote] = field(default_factory=list)

    def append(
        self, voter: Voter, marks: Marks | None, now: datetime, earlier: StoredVote | None
    ) -> StoredVote:
        """Give the next seq to a vote event and count it; what it replaces is counted out."""
        if earlier is not None:
            assert earlier.marks is not None
            del self.current[voter.key]
            self.tally.add(self.state.kind, earlier.marks, -1)
            if earlier.seq in self.appended:
                self.appended[earlier.seq] = earlier._replace(is_current=False)
            else:
                self.superseded.append(earlier)
        vote = StoredVote(
            self.state.id, self.state.epoch, self.state.version + len(self.appended) + 1,
            voter.key, marks, now,
            is_current=marks is not None, replaces=earlier.seq if earlier else None,
            caster=earlier.caster if earlier else voter.caster,
        )  # fmt: skip
        self.appended[vote.seq] = vote
        if marks is not None:
            self.tally.add(self.state.kind, marks)
            self.current[voter.key] = vote
        return vote

    def state_after(self) -> PollState:
        """The poll's state once the batch is committed."""
        tally, version = self.tally, self.state.version + len(self.appended)
        return self.state.with_totals(version, tally.voters, tally.votes, tally.counts, tally.stars)


def _voters_of(
    batch: Sequence[Cast], polls: Mapping[PollRef, LockedPoll]
) -> list[Voter | errors.PollError]:
    """The voter of each vote, or why it is refused."""
    voters = [_voter_of(cast, polls.get(cast.ref)) for cast in batch]
    unknown = unknown_codes(
        (polls[one.poll_id].state, one.key) for one in voters if isinstance(one, Voter)
    )
    return [
        errors.InvalidVoterCode() if isinstance(one, Voter) and one.key in unknown else one
        for one in voters
    ]


def _voter_of(cast: Cast, poll: LockedPoll | None) -> Voter | errors.PollError:
    if poll is None:
        return errors.PollNotFound()
    try:
        return Voter.of(poll.state, cast.identity, slot_of(poll.state, cast.body))
    except errors.PollError as error:
        return error


def _decide(cast: Cast, poll: LockedPoll, voter: Voter, now: datetime) -> Outcome:
    marks = None
    if cast.body is not None:
        try:
            marks = read_ballot(poll.state, cast.body)
        except BallotError as problem:
            closed = refusal_by_status(poll.state, now)
            if closed and problem.refusal != Refusal.MALFORMED:
                return _refused(closed)
            return _refused(problem.refusal, problem.detail)
    earlier = poll.current.get(voter.key)
    is_own = earlier is None or earlier.is_of(voter)
    if earlier and not is_own and earlier.caster is None and earlier.marks == marks:
        is_own = may_repeat_from_before(cast.identity.token, earlier.cast_at, now)
    verdict = decide_vote(poll.state, now, marks, earlier.marks if earlier else None, is_own=is_own)
    if isinstance(verdict, Refusal):
        if is_own:
            return _refused(verdict, vote=earlier if cast.body is not None else None)
        return _refused(verdict, _USED if verdict == Refusal.ALREADY_VOTED else "")
    if verdict == Verdict.REPEATED:
        return Outcome(verdict, earlier)
    return Outcome(verdict, poll.append(voter, marks, now, earlier))


def _refused(refusal: Refusal, detail: str = "", vote: StoredVote | None = None) -> Outcome:
    return Outcome(Verdict.REFUSED, vote=vote, error=errors.BY_CODE[refusal](detail))
