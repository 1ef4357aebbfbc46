"""A vote: as it is cast, as it is stored, and what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from polls import errors
from polls.identity.voters import Identity, caster_key, is_same_caster, voter_key
from polls.refs import PollRef
from polls.rules.ballot import Marks
from polls.rules.deciding import Verdict
from polls.rules.poll import PollState


class Cast(NamedTuple):
    """A vote that is to be counted; without a `body`, one that is to be retracted."""

    ref: PollRef
    identity: Identity
    body: Mapping[str, Any] | None


class Voter(NamedTuple):
    """A voter in one epoch of one poll, by the voter key (32 hexadecimal digits), and the
    voter token that they come with now (`voters.caster_key`)."""

    poll_id: UUID
    epoch: int
    key: str
    caster: str | None = None

    @classmethod
    def of(cls, state: PollState, identity: Identity, slot: str = "") -> "Voter":
        """Who votes in this poll.

        Raises:
            VoterRequired: the policy asks for what the request did not bring.
        """
        key = voter_key(state, identity, slot)
        return cls(state.id, state.epoch, key, caster_key(state, key, identity))


class StoredVote(NamedTuple):
    """A vote event as it is recorded; without marks, a retraction."""

    poll_id: UUID
    epoch: int
    seq: int
    voter: str
    marks: Marks | None
    cast_at: datetime
    is_current: bool = True
    replaces: int | None = None
    caster: str | None = None

    def is_of(self, voter: Voter) -> bool:
        """Whether this voter's vote was cast by who comes as this voter now: a used code, a shared
        address does not show another's."""
        return is_same_caster(self.caster, voter.caster)


class Outcome(NamedTuple):
    """The result of a Cast: `vote` is the caller's own recorded vote, `error` why it was refused.

    `state` is the poll as the batch left it, `decided_at` when that was; None where there is no
    such poll.
    """

    verdict: Verdict
    vote: StoredVote | None = None
    state: PollState | None = None
    error: errors.PollError | None = None
    decided_at: datetime | None = None
