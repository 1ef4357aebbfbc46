"""A poll's state: its rules, its life, its totals, and who may see them. Pure."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple
from uuid import UUID

from polls.rules.kinds import KINDS


class Status(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class VoterPolicy(StrEnum):
    DEVICE = "device"
    ACCOUNT = "account"
    CODE = "code"
    IP = "ip"
    OPEN = "open"


# Here several people can be one voter: who has a code, who shares an address. A vote keeps by a
# keyed hash which voter token cast it, and is that token's alone to see, repeat and change.
CAST_BY_TOKEN = frozenset((VoterPolicy.CODE, VoterPolicy.IP))


class Derivation(IntEnum):
    """How a poll makes voter keys, and voters of Idempotency-Keys: `identity.voters`."""

    SHARED = 1  # polls from before: SECRET_KEY itself; one Idempotency-Key is one voter in them all
    OWN = 2  # a key for nothing else; an Idempotency-Key is a voter of that poll


class Visibility(StrEnum):
    ALWAYS = "always"
    AFTER_VOTE = "after_vote"
    AFTER_CLOSE = "after_close"
    OWNER = "owner"


class PollState(NamedTuple):
    """What must be known of a poll to decide a vote and to show its tally.

    `counts` has a key for every option ("1", "2", …); `stars` is the kind's histogram, None
    where it has none. `revision` rises with every act and
    edit of the owner, `version` with every vote event; both are raised under the poll's
    lock, so (epoch, version, revision) orders all states of a poll.
    """

    id: UUID
    code: str
    kind: str
    min_choices: int
    max_choices: int
    is_draft: bool
    opens_at: datetime | None
    closes_at: datetime | None
    paused_at: datetime | None
    closed_at: datetime | None
    voter_policy: str
    vote_change: bool
    results_visibility: str
    min_voters: int
    epoch: int
    revision: int
    version: int
    voters: int
    votes: int
    counts: dict[str, int]
    stars: dict[str, list[int]] | None
    owner_id: int | None
    owner_key_hash: str
    derivation: int = Derivation.OWN

    def with_totals(
        self,
        version: int,
        voters: int,
        votes: int,
        counts: dict[str, int],
        stars: dict[str, list[int]] | None,
    ) -> "PollState":
        """The same poll after more votes; `_replace` costs three times as much."""
        return _make_state(
            (*self[:_TOTALS], version, voters, votes, counts, stars, *self[_AFTER_TOTALS:])
        )

    @property
    def order(self) -> tuple[int, int, int]:
        """Where this state stands among all states of the poll."""
        return (self.epoch, self.version, self.revision)

    def status_at(self, now: datetime) -> Status:
        if self.closed_at is not None or (self.closes_at is not None and now >= self.closes_at):
            return Status.CLOSED
        if self.is_draft:
            return Status.DRAFT
        if self.opens_at is not None and now < self.opens_at:
            return Status.SCHEDULED
        return Status.OPEN if self.paused_at is None else Status.PAUSED

    @property
    def is_withheld(self) -> bool:
        """Whether too few have voted for any number that could give a voter away.

        `voters` counts votes that stand; where a voter can have several, that many are needed
        as only `min_voters` voters can have.
        """
        votes_each = KINDS[self.kind].most_votes(len(self.counts))
        return self.voters <= (self.min_voters - 1) * votes_each

    def needs_sealing(self, now: datetime) -> bool:
        """Whether the clock has closed the poll and no one has written that down yet."""
        return self.closed_at is None and self.closes_at is not None and now >= self.closes_at

    def next_moment(self, now: datetime) -> datetime | None:
        """The next time at which the clock alone changes the status."""
        if self.closed_at is not None:
            return None
        moments = [at for at in (self.opens_at, self.closes_at) if at is not None and at > now]
        return min(moments, default=None)


_make_state = PollState._make
_TOTALS = PollState._fields.index("version")
_AFTER_TOTALS = PollState._fields.index("stars") + 1


def may_see_results(state: PollState, status: Status, *, is_owner: bool, has_voted: bool) -> bool:
    """Whether a caller may see the tally now. Every path that shows one must ask this."""
    visibility = state.results_visibility
    if is_owner or visibility == Visibility.ALWAYS:
        return True
    if visibility == Visibility.AFTER_VOTE:
        return has_voted
    return visibility == Visibility.AFTER_CLOSE and status == Status.CLOSED
