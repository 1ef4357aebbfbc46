"""Deciding and storing votes under their polls' locks, whatever they are.

A batch is one transaction. Under each poll's lock every vote is decided by the rules of
`domain`, gets the poll's next `seq`, and moves the tally; the tally, the version and the
votes are committed together or not at all. `first_votes` is the short way for most of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from polls import errors, events
from polls.identity.voters import Identity, voter_key
from polls.refs import PollRef
from polls.rules.ballot import BallotError, Marks, Refusal, read_ballot, slot_of
from polls.rules.deciding import Verdict, decide_vote, refusal_by_status
from polls.rules.poll import PollState, VoterPolicy
from polls.rules.tally import Tally
from polls.voting import known_polls, vote_store
from polls.voting.statement import Asking, Statement
from polls.voting.vote_store import StoredVote, VoterIn
from polls.voting.vote_transaction import answer, tell, vote_transaction


class Cast(NamedTuple):
    """A vote that wants to be counted; without a body, one that is to be taken back."""

    ref: PollRef
    identity: Identity
    body: Mapping[str, Any] | None


class Outcome(NamedTuple):
    """What became of a Cast: `vote` is what is recorded, `error` why it was refused.

    `state` is the poll as the batch left it, `decided_at` when that was; None when there is
    no such poll.
    """

    verdict: Verdict
    vote: StoredVote | None = None
    state: PollState | None = None
    error: errors.PollError | None = None
    decided_at: datetime | None = None


# Who casts a vote: a voter, a reason why not, or nobody because there is no such poll.
_Voter = VoterIn | errors.PollError | None


@dataclass(slots=True)
class _Desk:
    """One locked poll while a batch is being decided."""

    state: PollState
    tally: Tally
    version: int
    current: dict[str, StoredVote] = field(default_factory=dict)
    appended: dict[int, StoredVote] = field(default_factory=dict)
    superseded: list[StoredVote] = field(default_factory=list)

    @classmethod
    def open(cls, state: PollState) -> "_Desk":
        return cls(state, Tally.of(state), state.version)

    def append(
        self, voter: str, marks: Marks | None, now: datetime, earlier: StoredVote | None
    ) -> StoredVote:
        """Give the next seq to a vote event and count it; what it replaces is counted out."""
        if earlier is not None:
            assert earlier.marks is not None
            del self.current[voter]
            self.tally.add(self.state.kind, earlier.marks, -1)
            if earlier.seq in self.appended:
                self.appended[earlier.seq] = earlier._replace(is_current=False)
            else:
                self.superseded.append(earlier)
        self.version += 1
        vote = StoredVote(
            self.state.id, self.state.epoch, self.version, voter, marks, now,
            is_current=marks is not None, replaces=earlier.seq if earlier else None,
        )  # fmt: skip
        self.appended[vote.seq] = vote
        if marks is not None:
            self.tally.add(self.state.kind, marks)
            self.current[voter] = vote
        return vote

    def close(self) -> PollState:
        """The poll's state after the batch, which is what its outcomes tell."""
        tally = self.tally
        self.state = self.state.with_totals(
            self.version, tally.voters, tally.votes, tally.counts, tally.stars
        )
        return self.state


class Decided(NamedTuple):
    """What a batch comes to once `writes` are run and committed: then tell of `states`."""

    outcomes: list[Outcome]
    writes: list[Statement]
    states: list[PollState]


def record_votes(batch: Sequence[Cast]) -> list[Outcome]:
    """Decide and store a batch of votes in one transaction, waiting for the database.

    Tells `events.tallies_changed` after COMMIT.

    Raises:
        DatabaseError: nothing of the batch was stored.
    """
    with vote_transaction():
        decided = answer(decide_votes(batch))
        for statement in decided.writes:
            tell(*statement)
    if decided.states:
        events.tell_tallies_changed(decided.states)
    return decided.outcomes


def decide_votes(batch: Sequence[Cast]) -> Asking[Decided]:
    """Decide a batch of votes; to be asked and stored in one transaction.

    Locks each poll concerned once, in id order; four statements a batch, one more for voter
    codes, and one for each vote that replaces an earlier one.

    Args:
        batch: votes in order of arrival; two of one voter are decided in that order.
    Returns:
        One Outcome a vote, same order: accepted (with seq), repeated, replaced,
        retracted or refused.
    """
    foreseen = [_foresee(cast) for cast in batch]
    # Not where a poll may be new: it could come between the lock and what is read with it.
    looked_up = (
        [] if None in foreseen else [one.voter.voter for one in foreseen if one and one.voter]
    )
    states, votes = yield from vote_store.lock_polls({cast.ref for cast in batch}, looked_up)
    now = datetime.now(UTC)
    known_polls.note(states)
    opened = [_Desk.open(state) for state in states]
    desks: dict[PollRef, _Desk] = {}
    for desk in opened:
        desks[desk.state.id] = desks[desk.state.code] = desk
    at = [desks.get(cast.ref) for cast in batch]
    voters = [
        _voter_of(cast, desk, guess) for cast, desk, guess in zip(batch, at, foreseen, strict=True)
    ]
    voters = yield from _without_unusable_codes(voters, desks)
    unforeseen = [
        voter
        for voter, guess in zip(voters, foreseen, strict=True)
        if isinstance(voter, VoterIn)
        and (votes is None or guess is None or guess.voter is not voter)
    ]
    for vote in (votes or []) + (yield from vote_store.current_votes(unforeseen)):
        concerned = desks.get(vote.poll_id)
        if concerned is not None and concerned.state.epoch == vote.epoch:
            concerned.current[vote.voter] = vote
    decided = [
        _decide(cast, desk, voter, now) for cast, desk, voter in zip(batch, at, voters, strict=True)
    ]
    changed = [desk for desk in opened if desk.appended]
    after = [desk.close() for desk in changed]
    writes = [
        *vote_store.supersede_votes([vote for desk in changed for vote in desk.superseded]),
        *vote_store.append_votes([vote for desk in changed for vote in desk.appended.values()]),
        *vote_store.save_tallies(after),
    ]
    outcomes = [
        Outcome(one.verdict, one.vote, desk.state, one.error, now) if desk else one
        for one, desk in zip(decided, at, strict=True)
    ]
    return Decided(outcomes, writes, after)


class _Foreseen(NamedTuple):
    """Who casts a vote, if the poll is still what it was at the last batch; None: nobody."""

    policy: str
    kind: str
    voter: VoterIn | None


def _foresee(cast: Cast) -> _Foreseen | None:
    """None where the poll was in no batch yet."""
    known = known_polls.find(cast.ref)
    if known is None:
        return None
    state = known.state
    try:
        key = voter_key(state.id, state.voter_policy, cast.identity, slot_of(state, cast.body))
    except errors.PollError:
        return _Foreseen(state.voter_policy, state.kind, None)
    return _Foreseen(state.voter_policy, state.kind, VoterIn(state.id, state.epoch, key))


def _voter_of(cast: Cast, desk: _Desk | None, foreseen: _Foreseen | None) -> _Voter:
    if desk is None:
        return None
    state = desk.state
    policy, kind, voter = foreseen or (None, None, None)
    known = (policy, kind) == (state.voter_policy, state.kind)
    if voter and known and voter[:2] == (state.id, state.epoch):
        return voter
    try:
        key = voter_key(state.id, state.voter_policy, cast.identity, slot_of(state, cast.body))
    except errors.PollError as error:
        return error
    return VoterIn(state.id, state.epoch, key)


def _without_unusable_codes(
    voters: list[_Voter], desks: dict[PollRef, _Desk]
) -> Asking[list[_Voter]]:
    by_code = {
        one
        for one in voters
        if isinstance(one, VoterIn) and desks[one.poll_id].state.voter_policy == VoterPolicy.CODE
    }
    if not by_code:
        return voters
    unusable = yield from vote_store.unusable_codes(by_code)
    return [errors.InvalidVoterCode() if one in unusable else one for one in voters]


def _decide(cast: Cast, desk: _Desk | None, voter: _Voter, now: datetime) -> Outcome:
    if desk is None:
        return Outcome(Verdict.REFUSED, error=errors.PollNotFound())
    if not isinstance(voter, VoterIn):
        return Outcome(Verdict.REFUSED, error=voter)
    if cast.body is None:
        return _decide_retraction(desk, voter.voter, now)
    try:
        marks = read_ballot(desk.state, cast.body)
    except BallotError as problem:
        closed = refusal_by_status(desk.state, now)
        if closed and problem.refusal != Refusal.MALFORMED:
            return _refused(closed)
        return _refused(problem.refusal, problem.detail)
    earlier = desk.current.get(voter.voter)
    verdict = decide_vote(desk.state, now, marks, earlier.marks if earlier else None)
    if isinstance(verdict, Refusal):
        return _refused(verdict, vote=earlier)
    if verdict == Verdict.REPEATED:
        return Outcome(verdict, earlier)
    return Outcome(verdict, desk.append(voter.voter, marks, now, earlier))


def _decide_retraction(desk: _Desk, voter: str, now: datetime) -> Outcome:
    earlier = desk.current.get(voter)
    if earlier is None:
        return Outcome(Verdict.REFUSED, error=errors.NotVoted())
    refusal = refusal_by_status(desk.state, now)
    if refusal is not None:
        return _refused(refusal)
    if not desk.state.vote_change:
        return Outcome(Verdict.REFUSED, error=errors.VoteChangeOff())
    return Outcome(Verdict.RETRACTED, desk.append(voter, None, now, earlier))


def _refused(refusal: Refusal, detail: str = "", vote: StoredVote | None = None) -> Outcome:
    return Outcome(Verdict.REFUSED, vote=vote, error=errors.BY_CODE[refusal](detail))
