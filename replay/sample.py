"""The poll a first visitor finds: real first preferences, open for one more vote.

Made on a database that has no poll at all, and filled to the end if a first attempt was
cut off. Its id is fixed, so that it is found again under any title.

The votes are recorded as any others are, all at once; then their times, and no more, are spread
over the hour before, so that the first timeline is a curve. The sample does that by itself: a
time to be given with a vote would be one that a vote could be given.
"""

import math
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.services import create_poll
from polls.voting.committer import record_votes
from polls.voting.vote import Cast
from replay.preflib import read_preflib

SAMPLE_POLL_ID = UUID("ba110755-2009-4000-8000-b0112094570f")
BALLOTS_FILE = Path(__file__).parent / "data" / "burlington-2009-mayor.toi"
QUESTION = "2009 Burlington mayoral election: whom would you have put first?"
DESCRIPTION = (
    "8,976 real first preferences from the ballots of the election in Burlington, Vermont "
    "(PrefLib dataset 00005, donated by Jeffrey O'Neill, OpenSTV.org). Add yours."
)
BATCH_VOTES = 1000
ARRIVAL = timedelta(hours=1)
_ARRIVAL_STEPS = 60  # votes of one step share their time
_PEAK = 0.15  # the share of ARRIVAL after which votes come fastest


def ensure_sample_poll() -> bool:
    """Make or complete the sample poll where it is due; answers whether anything was done.

    Takes a second or two for the first time, one query after that.
    """
    sample = Poll.objects.filter(id=SAMPLE_POLL_ID).first()
    if sample is None:
        if Poll.objects.exists():
            return False
        file = read_preflib(BALLOTS_FILE)
        sample, _ = create_poll(
            poll_id=SAMPLE_POLL_ID,
            question=QUESTION,
            description=DESCRIPTION,
            options=file.alternatives,
            created_at=timezone.now() - ARRIVAL,
        )
    elif sample.epoch > 1 or sample.version >= sample_vote_count():
        return False
    return _record_sample_votes(sample) > 0


def sample_vote_count() -> int:
    """How many of the file's ballots have a first preference."""
    return len(_first_preferences())


def _first_preferences() -> list[int]:
    ballots = read_preflib(BALLOTS_FILE).ballots()
    return [first for one in ballots if (first := one.first_preference()) is not None]


def _record_sample_votes(sample: Poll) -> int:
    casts = [
        Cast(SAMPLE_POLL_ID, _voter(index), {"choices": [choice]})
        for index, choice in enumerate(_first_preferences())
    ]
    outcomes = [
        outcome
        for start in range(0, len(casts), BATCH_VOTES)
        for outcome in record_votes(casts[start : start + BATCH_VOTES])
    ]
    seqs = [outcome.vote.seq for outcome in outcomes if outcome.vote is not None]
    if seqs == list(range(1, len(casts) + 1)):  # else a visitor has voted in between
        _spread_over_arrival(sample, len(casts))
    return sum(outcome.error is None for outcome in outcomes)


@transaction.atomic
def _spread_over_arrival(sample: Poll, votes: int) -> None:
    """Let the poll's first votes have come one after the other since it was created. One update
    a step."""
    done = 0
    for step in range(1, _ARRIVAL_STEPS + 1):
        arrived = round(votes * _arrived(step / _ARRIVAL_STEPS))
        Vote.objects.filter(
            poll_id=sample.id, epoch=sample.epoch, seq__gt=done, seq__lte=arrived
        ).update(cast_at=sample.created_at + ARRIVAL * step / _ARRIVAL_STEPS)
        done = arrived


def _arrived(time: float) -> float:
    """The share of votes that have come by a time, both from 0 to 1: they start slowly, come
    fastest at `_PEAK`, and then ever fewer do, as in a hall in which a poll was announced."""

    def gamma(at: float) -> float:
        return 1 - (1 + at / _PEAK) * math.exp(-at / _PEAK)

    return gamma(time) / gamma(1)


def _voter(index: int) -> Identity:
    """The same voter for the same ballot each time; no browser can claim to be one."""
    name = f"sample-ballot-{index}"
    return Identity(device=name, address="", nonce=name)
