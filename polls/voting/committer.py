"""The committer decides and stores any batch of votes, on any database: lock, decide, write.

A batch is one transaction. Under each poll's lock every vote is decided by `polls.rules`, gets the
poll's next `seq` and moves the totals; votes, totals and version are committed together or not at
all. `fast_lane` is the short way for first votes on PostgreSQL.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from polls import errors, events, metrics, selectors
from polls.database.outages import is_outage, last_write
from polls.database.stale_backends import end_stale_backends
from polls.identity.voter_codes import usable_codes
from polls.identity.voters import caster_key, is_from_before, voter_key
from polls.refs import PollRef
from polls.rules.ballot import BallotError, Marks, Refusal, read_ballot, slot_of
from polls.rules.deciding import Verdict, decide_vote, refusal_by_status
from polls.rules.poll import PollState, VoterPolicy
from polls.rules.tally import Tally
from polls.voting import sql
from polls.voting.vote import Cast, Outcome, StoredVote, Voter

logger = logging.getLogger(__name__)

# So long is a vote from before, of which it is not known what token cast it, repeated for a token
# from before: the answer to a vote just before an upgrade may have been lost.
_REPEATED_FROM_BEFORE = timedelta(days=1)
_USED = "There is a vote for this voter code or address; the token that cast it alone may see it."


def store(batch: Sequence[Cast], *, may_retry: bool = True) -> list[Outcome | BaseException]:
    """Record a batch; heals a connection that died, and spares a bad vote's neighbours.

    A commit whose answer was lost may have happened. Trying again is safe: a stored vote is
    answered as repeated.

    Returns:
        One Outcome a vote, same order, or the exception to answer with: Overloaded where the
        database is away, ServerError for a vote that breaks.
    """
    started = time.perf_counter()
    try:
        end_stale_backends()
        outcomes = record_votes(batch)
    except Exception as error:
        if is_outage(error):
            connection.close()
            if may_retry:
                return store(batch, may_retry=False)
            logger.warning("the database is away: %s", error)
            last_write.was_refused(error)
            metrics.count_outcomes([errors.Overloaded.code] * len(batch))
            return [errors.Overloaded("The database is away; try again.") for _ in batch]
        logger.exception("a batch of %d votes failed", len(batch))
        if len(batch) > 1:
            return [outcome for cast in batch for outcome in store([cast])]
        metrics.count_outcomes([errors.ServerError.code])
        return [errors.ServerError()]
    last_write.was_stored()
    metrics.measure_batch(outcomes, time.perf_counter() - started)
    return [*outcomes]


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
        states = selectors.lock_states({cast.ref for cast in batch})
        locked = [LockedPoll(state, Tally.of(state)) for state in states]
        by_ref: dict[PollRef, LockedPoll] = {}
        for poll in locked:
            by_ref[poll.state.id] = by_ref[poll.state.code] = poll
        polls = [by_ref.get(cast.ref) for cast in batch]
        now = datetime.now(UTC)
        voters = _voters_of(batch, polls)
        current = sql.current_votes([one for one in voters if isinstance(one, Voter)])
        for vote in current.values():
            by_ref[vote.poll_id].current[vote.voter] = vote
        decided = [
            _decide(cast, poll, voter, now)
            for cast, poll, voter in zip(batch, polls, voters, strict=True)
        ]
        changed = [poll for poll in locked if poll.appended]
        after = {id(poll): poll.state_after() for poll in locked}
        states = [after[id(poll)] for poll in changed]
        appended = [vote for poll in changed for vote in poll.appended.values()]
        superseded = [vote for poll in changed for vote in poll.superseded]
        sql.write(states, appended, superseded, now)
    if states:
        events.publish_tallies_changed(states)
    return [
        Outcome(one.verdict, one.vote, after[id(poll)], one.error, now) if poll else one
        for one, poll in zip(decided, polls, strict=True)
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
    batch: Sequence[Cast], polls: Sequence[LockedPoll | None]
) -> list[Voter | errors.PollError]:
    """The voter of each vote, or why it is refused."""
    voters: list[Voter | errors.PollError] = []
    by_code: set[Voter] = set()
    for cast, poll in zip(batch, polls, strict=True):
        if poll is None:
            voters.append(errors.PollNotFound())
            continue
        state = poll.state
        try:
            key = voter_key(state, cast.identity, slot_of(state, cast.body))
        except errors.PollError as error:
            voters.append(error)
            continue
        voter = Voter(state.id, state.epoch, key, caster_key(state, key, cast.identity))
        voters.append(voter)
        if state.voter_policy == VoterPolicy.CODE:
            by_code.add(voter)
    if not by_code:
        return voters
    usable = usable_codes({one.poll_id for one in by_code}, {one.key for one in by_code})
    unusable = {one for one in by_code if (one.poll_id, one.key) not in usable}
    return [errors.InvalidVoterCode() if voter in unusable else voter for voter in voters]


def _decide(
    cast: Cast, poll: LockedPoll | None, voter: Voter | errors.PollError, now: datetime
) -> Outcome:
    if poll is None or not isinstance(voter, Voter):
        assert isinstance(voter, errors.PollError)
        return Outcome(Verdict.REFUSED, error=voter)
    earlier = poll.current.get(voter.key)
    is_own = earlier is None or earlier.is_of(voter)
    if cast.body is None:
        return _decide_retraction(poll, voter, earlier if is_own else None, now)
    try:
        marks = read_ballot(poll.state, cast.body)
    except BallotError as problem:
        closed = refusal_by_status(poll.state, now)
        if closed and problem.refusal != Refusal.MALFORMED:
            return _refused(closed)
        return _refused(problem.refusal, problem.detail)
    if not is_own and _may_repeat(cast, earlier, marks, now):
        return Outcome(Verdict.REPEATED, earlier)
    earlier_marks = earlier.marks if earlier else None
    verdict = decide_vote(poll.state, now, marks, earlier_marks, is_own=is_own)
    if isinstance(verdict, Refusal):
        if not is_own and verdict == Refusal.ALREADY_VOTED:
            return _refused(verdict, _USED)
        return _refused(verdict, vote=earlier if is_own else None)
    if verdict == Verdict.REPEATED:
        return Outcome(verdict, earlier)
    return Outcome(verdict, poll.append(voter, marks, now, earlier))


def _may_repeat(cast: Cast, earlier: StoredVote | None, marks: Marks, now: datetime) -> bool:
    """Whether this is the retry of a vote from before: see `_REPEATED_FROM_BEFORE`."""
    return (
        earlier is not None
        and earlier.caster is None
        and earlier.marks == marks
        and now - earlier.cast_at < _REPEATED_FROM_BEFORE
        and cast.identity.token is not None
        and is_from_before(cast.identity.token)
    )


def _decide_retraction(
    poll: LockedPoll, voter: Voter, earlier: StoredVote | None, now: datetime
) -> Outcome:
    if earlier is None:
        return Outcome(Verdict.REFUSED, error=errors.NotVoted())
    refusal = refusal_by_status(poll.state, now)
    if refusal is not None:
        return _refused(refusal)
    if not poll.state.vote_change:
        return Outcome(Verdict.REFUSED, error=errors.VoteChangeOff())
    return Outcome(Verdict.RETRACTED, poll.append(voter, None, now, earlier))


def _refused(refusal: Refusal, detail: str = "", vote: StoredVote | None = None) -> Outcome:
    return Outcome(Verdict.REFUSED, vote=vote, error=errors.BY_CODE[refusal](detail))
