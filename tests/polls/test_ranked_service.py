"""Two real elections through the ballot box, read while they are being counted.

Every reading on the way must equal a count from scratch of the votes that stand then, though
the server only ever catches up with what came since it was asked last.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.db import OperationalError

from polls import services
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.results.ballot_counts import BallotCounts
from polls.results.reader import PollQuery, Reading, read_polls
from polls.rules.deciding import Verdict
from polls.rules.kinds.run_off import RankedCount
from polls.selectors import get_states
from polls.voting.committer import record_votes
from polls.voting.vote import Cast
from replay.preflib import PrefLibFile, read_preflib

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_screens")]

DATA = Path(__file__).parents[1] / "data"
BATCH = 400


class Election:
    """A ranked poll over a file's alternatives, and how its voters vote."""

    def __init__(self, file: PrefLibFile) -> None:
        self.names = dict(enumerate(file.alternatives, start=1))
        poll, _ = services.create_poll(
            question=file.title or "?",
            options=list(file.alternatives),
            kind="ranked",
            max_choices=len(file.alternatives),
            vote_change=True,
        )
        self.id: UUID = poll.id

    def vote(self, votes: Sequence[tuple[int, Sequence[int] | None]]) -> list[Verdict]:
        """Votes of (voter, ranking), batch after batch; None takes the vote back."""
        verdicts = []
        for start in range(0, len(votes), BATCH):
            batch = [
                Cast(
                    self.id,
                    Identity(device=str(voter), address="", nonce=""),
                    None if ranking is None else {"choices": list(ranking)},
                )
                for voter, ranking in votes[start : start + BATCH]
            ]
            verdicts += [outcome.verdict for outcome in record_votes(batch)]
        return verdicts

    def results(self) -> dict[str, Any]:
        [reading] = read_polls([PollQuery(self.id, results=True)])
        assert isinstance(reading, Reading)
        assert reading.results is not None
        results: dict[str, Any] = orjson.loads(reading.results)
        return results

    def check_against_a_count_from_scratch(self) -> None:
        count = RankedCount(list(self.names), tie_seed=self.id.bytes)
        current = Vote.objects.filter(poll_id=self.id, is_current=True)
        for marks in current.values_list("marks", flat=True):
            assert marks is not None
            count.add(marks)
        shown = self.results()
        counted = count.result().to_json()
        assert {name: shown[name] for name in counted} == counted
        assert shown["counts"] == counted["rounds"][0]["counts"]


def ballots_of(file: PrefLibFile) -> list[tuple[int, tuple[int, ...]]]:
    """(voter, ranking) of every ballot that ranks an option, in an order of its own."""
    rankings = [order.strict_prefix() for order in file.ballots()]
    ballots = list(enumerate(ranking for ranking in rankings if ranking))
    random.Random(file.digest).shuffle(ballots)
    return ballots


def test_burlington_2009_with_second_thoughts() -> None:
    """One voter in ten votes otherwise first; 150 people vote who then think better of it."""
    file = read_preflib(DATA / "burlington-2009-mayor.toi")
    election = Election(file)
    ballots = ballots_of(file)
    chance = random.Random(2009)
    undecided = [voter for voter, _ in ballots[::10]]
    election.vote([(voter, chance.sample(range(1, 7), 3)) for voter in undecided])
    election.check_against_a_count_from_scratch()
    passers_by = range(1_000_000, 1_000_150)
    election.vote([(voter, [chance.randint(1, 6)]) for voter in passers_by])

    third = len(ballots) // 3
    election.vote(ballots[:third])
    election.check_against_a_count_from_scratch()
    election.vote(ballots[third : 2 * third])
    retracted = election.vote([(voter, None) for voter in passers_by])
    assert set(retracted) == {Verdict.RETRACTED}
    election.check_against_a_count_from_scratch()
    for start in range(2 * third, len(ballots), 1000):
        election.vote(ballots[start : start + 1000])
        election.check_against_a_count_from_scratch()

    results = election.results()
    first, last = results["rounds"][0], results["rounds"][-1]
    assert sorted(first["counts"].values(), reverse=True) == [2951, 2585, 2063, 1306, 36, 35]
    names = {str(number): name for number, name in election.names.items()}
    assert {names[option] for option in last["counts"]} == {"Bob Kiss", "Kurt Wright"}
    assert election.names[results["winner"]] == "Bob Kiss"
    assert election.names[results["condorcet_winner"]] == "Andy Montroll"
    assert results["voters"] == len(ballots)
    assert recount_poll(election.id) == []


def test_debian_2010_vote_by_vote() -> None:
    file = read_preflib(DATA / "debian-2010-leader.soi")
    election = Election(file)
    ballots = ballots_of(file)
    for start in range(0, len(ballots), 20):
        election.vote(ballots[start : start + 20])
        election.check_against_a_count_from_scratch()

    results = election.results()
    assert election.names[results["winner"]] == "Stefano Zacchiroli"
    assert results["voters"] == len(ballots) == 436
    assert recount_poll(election.id) == []


def test_a_count_that_could_not_read_everything_goes_on_as_if_it_had_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The database goes away between the two queries of one catching up."""
    election = Election(read_preflib(DATA / "debian-2010-leader.soi"))
    counts = BallotCounts()
    election.vote([(1, [1, 2]), (2, [2]), (3, [3])])
    counts.results_at(get_states([election.id])[0])
    election.vote([(1, [3]), (4, [4, 1])])
    [state] = get_states([election.id])

    real = Vote.objects.filter
    asked = []

    def fails_the_second_time(*args: Any, **filters: Any) -> Any:
        asked.append(filters)
        if len(asked) == 2:
            raise OperationalError("the connection is gone")
        return real(*args, **filters)

    with monkeypatch.context() as patch:
        patch.setattr(Vote.objects, "filter", fails_the_second_time)
        with pytest.raises(OperationalError):
            counts.results_at(state)

    fresh = BallotCounts().results_at(state)
    assert counts.results_at(state) == fresh
    assert fresh["rounds"][0]["counts"] == {"1": 0, "2": 1, "3": 2, "4": 1, "5": 0}


def test_a_reset_starts_the_rounds_anew() -> None:
    election = Election(read_preflib(DATA / "debian-2010-leader.soi"))
    election.vote([(1, [1, 2]), (2, [1]), (3, [3])])
    assert election.results()["winner"] == 1
    services.reset_poll(election.id)
    assert election.results()["winner"] is None
    election.vote([(1, [4])])
    assert election.results()["winner"] == 4
    assert Poll.objects.get(id=election.id).version == 1
