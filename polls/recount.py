"""The audit: every tally again, from nothing but the recorded votes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max
from django.db.models.functions import Coalesce

from polls import events
from polls.models import Poll, Vote
from polls.rules.poll import PollState
from polls.rules.tally import Tally, count_ballots
from polls.selectors import state_of
from polls.voting import sql

_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A value stored on the poll that differs from the count of its votes."""

    poll_id: UUID
    what: str
    stored: object
    counted: object


def recount_poll(poll_id: UUID, *, fix: bool = False) -> list[Difference]:
    """Compare a poll's tally and version with its votes, under its lock.

    Args:
        fix: write what was counted, and publish it.
    Returns:
        What differs; nothing when the tally is right. Differences in the record itself
        (gaps, two current votes of a voter) are returned but cannot be fixed.
    Raises:
        Poll.DoesNotExist
    """
    with transaction.atomic():
        poll = Poll.objects.select_for_update().get(id=poll_id)
        state = state_of(poll)
        votes = Vote.objects.filter(poll_id=poll_id, epoch=poll.epoch)
        current = votes.filter(is_current=True).values_list("marks", flat=True)
        ballots = (marks for marks in current.iterator(_CHUNK) if marks is not None)
        # What is stored as the tally may be anything: the options come from their own table.
        options = poll.options.filter(is_retired=False).values_list("number", flat=True)
        tally = count_ballots(state.kind, list(options), ballots)
        last = votes.aggregate(last=Coalesce(Max("seq"), 0), number=Count("seq"))
        found = list(_differences(state, tally, last["last"], last["number"]))
        twice = (
            votes.filter(is_current=True).values("voter").annotate(n=Count("seq")).filter(n__gt=1)
        )
        found += [
            Difference(poll_id, f"current votes of voter {row['voter']}", 1, row["n"])
            for row in twice
        ]
        if found and fix:
            _write(state, tally, last["last"])
    if found and fix:
        events.publish_poll_changed(poll_id)
    return found


def _differences(
    state: PollState, tally: Tally, last_seq: int, number: int
) -> Iterator[Difference]:
    stored_and_counted = {
        "version": (state.version, last_seq),
        "number of vote events": (last_seq, number),
        "voters": (state.voters, tally.voters),
        "votes": (state.votes, tally.votes),
        "counts": (state.counts, tally.counts),
        "stars": (state.stars, tally.stars),
    }
    for what, (stored, counted) in stored_and_counted.items():
        if stored != counted:
            yield Difference(state.id, what, stored, counted)


def _write(state: PollState, tally: Tally, last_seq: int) -> None:
    counted = state._replace(
        version=last_seq, voters=tally.voters, votes=tally.votes,
        counts=tally.counts, stars=tally.stars,
    )  # fmt: skip
    sql.write([counted], [], [], datetime.now(UTC))
    Poll.objects.filter(id=state.id).update(revision=state.revision + 1)
