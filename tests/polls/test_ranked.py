"""The live ranked count against two real elections and against a naive count from scratch.

The naive count below is written for reading: it passes over all ballots in every round and
shares no code with `run_off`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from polls.rules.kinds.run_off import RankedCount, RankedResult
from tests.sizes import sized

DATA = Path(__file__).parents[1] / "data"
SEED = b"a poll"


# Two elections


def read_preflib(name: str) -> tuple[dict[int, str], list[tuple[tuple[int, ...], int]]]:
    """Names by option id, and ballots with their number; a ballot ends before its first tie."""
    names: dict[int, str] = {}
    ballots: list[tuple[tuple[int, ...], int]] = []
    for line in (DATA / name).read_text().splitlines():
        if line.startswith("# ALTERNATIVE NAME"):
            number, text = line.removeprefix("# ALTERNATIVE NAME ").split(": ")
            names[int(number)] = text
        elif not line.startswith("#"):
            number, order = line.split(": ")
            clear = order.split("{")[0].strip(",")
            ballots.append((tuple(map(int, clear.split(","))) if clear else (), int(number)))
    return names, ballots


def counted(name: str) -> tuple[dict[int, str], RankedCount]:
    names, ballots = read_preflib(name)
    count = RankedCount(list(names), SEED)
    for ballot, n in ballots:
        count.add(ballot, n)
    return names, count


def test_burlington_2009() -> None:
    names, count = counted("burlington-2009-mayor.toi")
    result = count.result()
    first = {names[option]: votes for option, votes in result.rounds[0].counts.items()}
    assert first == {
        "Kurt Wright": 2951,
        "Bob Kiss": 2585,
        "Andy Montroll": 2063,
        "Dan Smith": 1306,
        "Write-In": 36,
        "James Simpson": 35,
    }
    assert [names[item.eliminated] for item in result.rounds if item.eliminated] == [
        "James Simpson",
        "Write-In",
        "Dan Smith",
        "Andy Montroll",
    ]
    last = result.rounds[-1]
    assert {names[option] for option in last.counts} == {"Bob Kiss", "Kurt Wright"}
    assert result.winner is not None
    assert names[result.winner] == "Bob Kiss"
    assert result.condorcet_winner is not None
    assert names[result.condorcet_winner] == "Andy Montroll"
    assert not result.tie
    for item in result.rounds:
        assert sum(item.counts.values()) + item.exhausted == 8980


def test_debian_2010() -> None:
    names, count = counted("debian-2010-leader.soi")
    result = count.result()
    assert len(result.rounds) == 1
    assert result.winner is not None
    assert names[result.winner] == "Stefano Zacchiroli"
    assert result.condorcet_winner == result.winner


@pytest.mark.parametrize("name", ["burlington-2009-mayor.toi", "debian-2010-leader.soi"])
def test_an_election_vote_by_vote_equals_the_count_from_scratch(name: str) -> None:
    names, rows = read_preflib(name)
    votes = [ballot for ballot, n in rows for _ in range(n)]
    random.Random(2009).shuffle(votes)
    live = RankedCount(list(names), SEED)
    for at, vote in enumerate(votes, 1):
        live.add(vote)
        result = live.result()
        if at % 500 == 0 or at == len(votes):
            assert plain(result) == naive_result(list(names), votes[:at])


# The naive count


def naive_result(options: Sequence[int], ballots: Sequence[Sequence[int]]) -> dict[str, Any]:
    rounds = naive_rounds(options, ballots)
    last = rounds[-1]["counts"]
    return {
        "rounds": rounds,
        "winner": max(last, key=lambda o: last[o]) if sum(last.values()) else None,
        "tie": len(last) == 1 and len(rounds) > 1 and len(rounds[-2]["counts"]) == 2,
        "condorcet_winner": naive_condorcet(options, ballots),
    }


def plain(result: RankedResult) -> dict[str, Any]:
    """A result as the naive count writes it: the order of options is not compared."""
    return {
        "rounds": [
            {
                "counts": item.counts,
                "eliminated": item.eliminated,
                "exhausted": item.exhausted,
                "tied": sorted(item.tied),
                "tie_rule": item.tie_rule,
            }
            for item in result.rounds
        ],
        "winner": result.winner,
        "tie": result.tie,
        "condorcet_winner": result.condorcet_winner,
    }


def naive_rounds(options: Sequence[int], ballots: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    continuing = set(options)
    rounds: list[dict[str, Any]] = []
    while True:
        counts = dict.fromkeys(sorted(continuing), 0)
        exhausted = 0
        for ballot in ballots:
            choices = [option for option in ballot if option in continuing]
            if choices:
                counts[choices[0]] += 1
            else:
                exhausted += 1
        this: dict[str, Any] = {
            "counts": counts,
            "eliminated": None,
            "exhausted": exhausted,
            "tied": [],
            "tie_rule": None,
        }
        rounds.append(this)
        total = sum(counts.values())
        if total == 0 or max(counts.values()) * 2 > total:
            return rounds
        last = [option for option in counts if counts[option] == min(counts.values())]
        if len(last) > 1:
            this["tied"] = last
            last, this["tie_rule"] = naive_tie(last, rounds[:-1], ballots)
        this["eliminated"] = last[0]
        continuing.remove(last[0])


def naive_tie(
    tied: list[int], earlier: list[dict[str, Any]], ballots: Sequence[Sequence[int]]
) -> tuple[list[int], str]:
    for item in earlier[::-1]:
        fewest = min(item["counts"][option] for option in tied)
        tied = [option for option in tied if item["counts"][option] == fewest]
    if len(tied) == 1:
        return tied, "earlier_round"
    for _ in range(len(tied)):
        support = {a: sum(above(b, a, o) for b in ballots for o in tied) for a in tied}
        tied = [option for option in tied if support[option] == min(support.values())]
    if len(tied) == 1:
        return tied, "head_to_head"
    return [min(tied, key=lambda o: hashlib.sha256(SEED + b":" + str(o).encode()).digest())], "lot"


def above(ballot: Sequence[int], a: int, b: int) -> bool:
    """Does the ballot rank `a` above `b`? What is not ranked is below all that is."""
    return a != b and a in ballot and (b not in ballot or ballot.index(a) < ballot.index(b))


def naive_condorcet(options: Sequence[int], ballots: Sequence[Sequence[int]]) -> int | None:
    for a in options:
        if ballots and all(
            sum(above(ballot, a, b) for ballot in ballots)
            > sum(above(ballot, b, a) for ballot in ballots)
            for b in options
            if b != a
        ):
            return a
    return None


# Any sequence of votes


def ballots_of(options: Sequence[int]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.sampled_from(list(options)), unique=True).map(tuple)


class TinyLimits(RankedCount):
    """Reaches nodes, a full memo and a full journal with a handful of ballots."""

    pile_limit = 1
    single_sets = 1
    memo_sets = 4

    def _limit_journal(self, steps: int, rounds: int) -> None:
        self._journal_limit = 3


class NodesAndWalks(RankedCount):
    pile_limit = 0
    single_sets = 0


KINDS = [RankedCount, TinyLimits, NodesAndWalks]


class AnyVotes(RuleBasedStateMachine):
    """Votes come, go and are counted in any order; three counts must equal the naive one."""

    @initialize(size=st.integers(1, 6))
    def start(self, size: int) -> None:
        self.options = [7 * at + 3 for at in range(size)]
        self.votes: list[tuple[int, ...]] = []
        self.counts = [kind(self.options, SEED) for kind in KINDS]

    @rule(data=st.data(), n=st.integers(1, 3))
    def add(self, data: st.DataObject, n: int) -> None:
        ballot = data.draw(ballots_of(self.options))
        self.votes += [ballot] * n
        for count in self.counts:
            count.add(ballot, n)

    @rule(data=st.data())
    def add_many(self, data: st.DataObject) -> None:
        ballots = data.draw(st.lists(ballots_of(self.options), max_size=12))
        self.votes += ballots
        for count in self.counts:
            count.add_many(ballots)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.votes:
            ballot = self.votes.pop(data.draw(st.integers(0, len(self.votes) - 1)))
            for count in self.counts:
                count.remove(ballot)

    @rule()
    def count_now(self) -> None:
        expected = naive_result(self.options, self.votes)
        for count in self.counts:
            assert plain(count.result()) == expected

    @invariant()
    def first_preferences_are_always_at_hand(self) -> None:
        for count in getattr(self, "counts", []):
            first = [vote[0] for vote in self.votes if vote]
            assert count.first_preferences() == {o: first.count(o) for o in self.options}
            assert count.ballots == len(self.votes)

    def teardown(self) -> None:
        if hasattr(self, "counts"):
            self.count_now()


TestAnyVotes = pytest.mark.slow(AnyVotes.TestCase)
TestAnyVotes.settings = settings(
    max_examples=sized(short=30, long=150), stateful_step_count=30, deadline=None
)


@pytest.mark.slow
@settings(max_examples=sized(short=8, long=60), deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 50), st.integers(0, 300))
def test_large_polls_equal_the_naive_count(rng: random.Random, size: int, votes: int) -> None:
    options = list(range(1, size + 1))
    cast = [tuple(rng.sample(options, rng.randint(1, size))) for _ in range(votes)]
    count = rng.choice(KINDS)(options, SEED)
    count.add_many(cast)
    assert plain(count.result()) == naive_result(options, cast)
    gone = rng.sample(cast, len(cast) // 2)
    for ballot in gone:
        count.remove(ballot)
        cast.remove(ballot)
        if rng.random() < 0.1:
            count.result()
    assert plain(count.result()) == naive_result(options, cast)


@settings(deadline=None)
@given(st.lists(ballots_of([1, 2, 3, 4, 5]), max_size=30), st.randoms(use_true_random=False))
def test_neither_arrival_nor_option_order_changes_the_result(
    ballots: list[tuple[int, ...]], rng: random.Random
) -> None:
    one = RankedCount([1, 2, 3, 4, 5], SEED)
    one.add_many(ballots)
    rng.shuffle(ballots)
    other = RankedCount([4, 2, 5, 1, 3], SEED)
    for ballot in ballots:
        other.add(ballot)
        other.result()
    assert plain(one.result()) == plain(other.result())


def test_everything_taken_back_leaves_an_empty_count() -> None:
    rng = random.Random(1)
    cast = [tuple(rng.sample(range(8), rng.randint(0, 8))) for _ in range(500)]
    count = RankedCount(range(8), SEED)
    for ballot in cast:
        count.add(ballot)
    assert count.result().winner is not None
    for ballot in cast:
        count.remove(ballot)
    assert count.result() == RankedCount(range(8), SEED).result()


# Rules


def result_of(options: Sequence[int], ballots: dict[tuple[int, ...], int]) -> RankedResult:
    count = RankedCount(options, SEED)
    for ballot, n in ballots.items():
        count.add(ballot, n)
    return count.result()


def test_without_votes_there_is_one_round_of_zeros_and_no_winner() -> None:
    assert RankedCount([1, 2]).result().to_json() == {
        "rounds": [
            {
                "counts": {"1": 0, "2": 0},
                "eliminated": None,
                "exhausted": 0,
                "tied": [],
                "tie_rule": None,
            }
        ],
        "winner": None,
        "tie": False,
        "condorcet_winner": None,
    }


def test_ballots_that_name_nobody_are_exhausted_and_elect_nobody() -> None:
    result = result_of([1, 2], {(): 3})
    assert (result.rounds[0].exhausted, result.winner, result.condorcet_winner) == (3, None, None)


def test_a_majority_of_continuing_ballots_ends_the_count() -> None:
    result = result_of([1, 2, 3], {(1,): 4, (2,): 3, (3,): 2})
    assert [item.eliminated for item in result.rounds] == [3, None]
    assert result.rounds[-1].exhausted == 2
    assert result.winner == 1


def test_one_option_leaves_a_round_even_those_without_votes() -> None:
    result = result_of([1, 2, 3, 4], {(1,): 2, (2, 1): 1, (3, 1): 1})
    assert result.rounds[0].eliminated == 4
    assert [len(item.counts) for item in result.rounds] == [4, 3, 2]


def test_a_tie_is_settled_by_the_most_recent_round_in_which_they_differ() -> None:
    # 2 and 3 are level once 4 is out; before, 3 had fewer.
    result = result_of([1, 2, 3, 4], {(1,): 5, (2, 1): 4, (3, 2): 3, (4, 3): 1})
    assert result.rounds[1].counts == {1: 5, 2: 4, 3: 4}
    assert result.rounds[1].tied == (2, 3)
    assert result.rounds[1].tie_rule == "earlier_round"
    assert result.rounds[1].eliminated == 3


def test_a_tie_in_every_round_is_settled_head_to_head() -> None:
    result = result_of([1, 2, 3], {(1, 3): 3, (2,): 2, (3,): 2})
    assert result.rounds[0].tied == (2, 3)
    assert result.rounds[0].tie_rule == "head_to_head"
    assert result.rounds[0].eliminated == 2


def test_the_lot_depends_on_the_seed_alone() -> None:
    drawn = set()
    for seed in range(40):
        count = RankedCount([1, 2], b"%d" % seed)
        count.add_many([(1,), (2,)])
        result = count.result()
        assert result.tie
        assert [item.tie_rule for item in result.rounds] == ["lot", None]
        assert result.condorcet_winner is None
        mirrored = RankedCount([2, 1], b"%d" % seed)
        mirrored.add_many([(2,), (1,)])
        assert mirrored.result().winner == result.winner
        drawn.add(result.winner)
    assert drawn == {1, 2}


def test_a_cycle_has_no_condorcet_winner() -> None:
    result = result_of([1, 2, 3], {(1, 2, 3): 2, (2, 3, 1): 2, (3, 1, 2): 2})
    assert result.condorcet_winner is None


def test_to_json_survives_json() -> None:
    result = result_of([1, 2, 3], {(1, 3): 3, (2,): 2, (3,): 2}).to_json()
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("options", [[], [1, 1]])
def test_impossible_options_are_refused(options: list[int]) -> None:
    with pytest.raises(ValueError, match="distinct"):
        RankedCount(options)


@pytest.mark.parametrize(
    ("ballot", "n", "why"),
    [((1, 9), 1, "no such option"), ((1, 2, 1), 1, "twice"), ((1,), 0, "at least once")],
)
def test_an_impossible_ballot_is_refused_and_changes_nothing(
    ballot: tuple[int, ...], n: int, why: str
) -> None:
    count = RankedCount([1, 2, 3])
    count.add((1, 2))
    before = count.result()
    with pytest.raises(ValueError, match=why):
        count.add(ballot, n)
    with pytest.raises(ValueError, match=why):
        count.remove(ballot, n)
    assert count.result() == before
    assert count.ballots == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ballot", [(), (3,), (1,), (2, 1), (1, 2, 3), (1, 3)])
def test_a_ballot_that_was_not_counted_is_not_taken_back(
    kind: type[RankedCount], ballot: tuple[int, ...]
) -> None:
    count = kind([1, 2, 3], SEED)
    count.add((1, 2))
    count.add((2,))
    with pytest.raises(ValueError, match="no such ballot"):
        count.remove(ballot)
    with pytest.raises(ValueError, match="no such ballot"):
        count.remove((1, 2), 2)
    assert plain(count.result()) == naive_result([1, 2, 3], [(1, 2), (2,)])


def test_votes_that_follow_a_count_need_no_new_walk() -> None:
    walks = []

    class Watched(RankedCount):
        def _limit_journal(self, steps: int, rounds: int) -> None:
            walks.append(steps)
            super()._limit_journal(steps, rounds)

    rng = random.Random(3)
    count = Watched(range(8), SEED)
    count.add_many(
        tuple(sorted(range(8), key=lambda o: rng.random() * (o + 3))) for _ in range(5_000)
    )
    count.result()
    walked = len(walks)
    assert walked
    for _ in range(50):
        count.add(tuple(rng.sample(range(8), 8)))
        count.result()
    assert len(walks) == walked


def test_the_work_of_a_count_is_bounded_by_the_options_not_by_the_ballots() -> None:
    steps = []

    class Watched(RankedCount):
        def _limit_journal(self, steps_taken: int, rounds: int) -> None:
            steps.append(steps_taken)

    count = Watched(range(7), SEED)
    for at, order in enumerate(permutations(range(7))):
        count.add(order, 1 + at % 5)
    count.result()
    nodes_and_links = 2**7 + 7 * 2**6
    assert 0 < max(steps) <= 2 * nodes_and_links  # against 5,040 distinct ballots
