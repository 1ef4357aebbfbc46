"""Voter codes: made for a `code` poll, shown once, kept only as the voter key they lead to."""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from polls import errors
from polls.identity.voters import voter_key_of_code
from polls.models import JOIN_CODE_ALPHABET, Vote, VoterCode
from polls.rules.limits import LIMITS
from polls.rules.poll import PollState, VoterPolicy
from polls.selectors import lock_poll, state_of

_GROUPS = 2
_GROUP_LENGTH = 4


def new_voter_code() -> str:
    """XXXX-XXXX: 31^8, some 850 billion; with a rate limit on misses, guessing is hopeless."""
    letters = [secrets.choice(JOIN_CODE_ALPHABET) for _ in range(_GROUPS * _GROUP_LENGTH)]
    return "-".join(
        "".join(letters[at : at + _GROUP_LENGTH]) for at in range(0, len(letters), _GROUP_LENGTH)
    )


@dataclass(frozen=True, slots=True)
class CodeStatus:
    """A code as its owner sees it later: by number, never in clear."""

    number: int
    created_at: datetime
    revoked_at: datetime | None
    is_used: bool


def make_voter_codes(poll_id: UUID, count: int) -> list[tuple[int, str]]:
    """`count` new codes, as (number, code). They cannot be shown again.

    Raises:
        PollNotFound
        TooManyCodes: the poll would have more than it may.
    """
    codes: set[str] = set()
    while len(codes) < count:
        codes.add(new_voter_code())
    with transaction.atomic():
        poll = lock_poll(poll_id)
        if poll.voter_codes.count() + count > LIMITS["voter_codes_a_poll"]:
            raise errors.TooManyCodes
        state = state_of(poll)
        last = poll.voter_codes.aggregate(last=Max("number"))["last"] or 0
        numbered = list(enumerate(codes, last + 1))
        VoterCode.objects.bulk_create(
            VoterCode(poll=poll, number=number, voter=voter_key_of_code(state, code))
            for number, code in numbered
        )
    return numbered


def voter_codes_of(poll_id: UUID) -> "QuerySet[VoterCode]":
    """The codes of a poll, each with `is_used`: whether it has voted, never what."""
    return VoterCode.objects.filter(poll_id=poll_id).annotate(is_used=_has_voted(poll_id))


def _has_voted(poll_id: UUID) -> Exists:
    return Exists(
        Vote.objects.filter(
            poll_id=poll_id, epoch=OuterRef("poll__epoch"), voter=OuterRef("voter"), is_current=True
        )
    )


def status_of(code: VoterCode) -> CodeStatus:
    """What its owner may see of a code of `voter_codes_of`."""
    is_used: bool = code.is_used  # type: ignore[attr-defined] # annotated
    return CodeStatus(code.number, code.created_at, code.revoked_at, is_used)


def list_voter_codes(poll_id: UUID) -> list[CodeStatus]:
    """Every code of a poll: all in memory, so not for requests."""
    return [status_of(code) for code in voter_codes_of(poll_id)]


def count_voter_codes(poll_id: UUID) -> tuple[int, int]:
    """How many codes a poll has, and how many of them have voted. Two queries that read no code
    but touch each: 0.1 s for 100,000."""
    codes = VoterCode.objects.filter(poll_id=poll_id)
    return codes.count(), codes.filter(_has_voted(poll_id)).count()


def unknown_codes(voters: Iterable[tuple[PollState, str]]) -> set[str]:
    """Of these voters, as (poll, voter key), the keys of those whose poll goes by codes, and whose
    code it has not, or has revoked. One query, and none where no poll goes by codes."""
    codes = {(poll.id, voter) for poll, voter in voters if poll.voter_policy == VoterPolicy.CODE}
    if not codes:
        return set()
    poll_ids, keys = zip(*codes, strict=True)
    usable = VoterCode.objects.filter(
        poll_id__in=set(poll_ids), voter__in=keys, revoked_at__isnull=True
    ).values_list("poll_id", "voter")
    return {key for _, key in codes - {(poll_id, voter.hex) for poll_id, voter in usable}}


def revoke_voter_codes(poll_id: UUID, numbers: Collection[int]) -> int:
    """Revoke codes; votes that they cast stay counted. Waits for votes being recorded.

    Returns:
        How many were not revoked before.
    Raises:
        NotFound: one of the numbers is no code of this poll.
    """
    with transaction.atomic():
        poll = lock_poll(poll_id)
        codes = poll.voter_codes.filter(number__in=set(numbers))
        if codes.count() != len(set(numbers)):
            raise errors.NotFound("One of these is no voter code of this poll.")
        return codes.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
