"""The sample poll: made once, whole in the end, on an empty database only."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from polls import selectors, services
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.voting.committer import record_votes
from polls.voting.vote import Cast, Outcome
from replay import sample
from replay.sample import ARRIVAL, SAMPLE_POLL_ID, ensure_sample_poll

pytestmark = pytest.mark.django_db

COUNTS = {"1": 2585, "2": 2063, "3": 35, "4": 1306, "5": 2951, "6": 36}


def test_an_empty_database_gets_the_real_first_preferences_once() -> None:
    assert ensure_sample_poll()
    poll = Poll.objects.get()
    assert (poll.id, poll.version, poll.voters, poll.listed) == (SAMPLE_POLL_ID, 8976, 8976, True)
    assert poll.counts == COUNTS
    assert Vote.objects.count() == 8976
    assert recount_poll(poll.id) == []
    assert not ensure_sample_poll()
    assert Poll.objects.get().version == 8976


def test_its_votes_have_come_over_the_hour_before_so_the_timeline_is_a_curve() -> None:
    ensure_sample_poll()
    poll = Poll.objects.get()
    now = datetime.now(UTC)
    line = selectors.vote_moments(selectors.state_of(poll))
    seqs, moments = zip(*line, strict=True)
    assert (seqs[0], seqs[-1]) == (1, 8976)
    assert poll.created_at < moments[0]
    assert moments[-1] <= now
    assert list(moments) == sorted(moments)
    assert 0.9 * ARRIVAL < moments[-1] - moments[0] < ARRIVAL
    waits = [later - earlier for earlier, later in pairwise(moments)]
    fastest = waits.index(min(waits))
    assert waits[0] > min(waits) < waits[-1]
    assert fastest < len(waits) / 2
    assert max(waits) < ARRIVAL / 3


def test_a_visitor_can_vote_and_the_next_start_leaves_it_so() -> None:
    ensure_sample_poll()
    visitor = Identity(device="visitor", address="", nonce="")
    [outcome] = record_votes([Cast(SAMPLE_POLL_ID, visitor, {"choices": [6]})])
    assert outcome.error is None
    assert not ensure_sample_poll()
    assert Poll.objects.get().counts == COUNTS | {"6": 37}


def test_what_a_crash_cut_off_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(batch: list[Cast]) -> list[Outcome]:
        if Poll.objects.get().version >= 3000:
            raise SystemExit
        return record_votes(batch)

    monkeypatch.setattr(sample, "record_votes", crash)
    with pytest.raises(SystemExit):
        ensure_sample_poll()
    monkeypatch.undo()
    assert Poll.objects.get().version == 3000
    assert ensure_sample_poll()
    assert Poll.objects.get().counts == COUNTS


def test_a_database_with_any_poll_gets_none() -> None:
    services.create_poll(question="Lunch?", options=["Soup", "Bread"])
    assert not ensure_sample_poll()
    assert not Poll.objects.filter(id=SAMPLE_POLL_ID).exists()


def test_one_that_was_reset_stays_empty() -> None:
    ensure_sample_poll()
    services.reset_poll(SAMPLE_POLL_ID)
    assert not ensure_sample_poll()
    assert Poll.objects.get().voters == 0
