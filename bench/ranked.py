"""What a live ranked count costs: `python -m bench.ranked [--ballots 100000]`.

Pure computation, one process, no server. Beside the live count stand a plain count (a good pass
over all distinct ballots in every round) and one such pass, which is what a memo of elimination
sets over a flat list of ballots would pay for each set that it meets first.
CPU time of the thread, best of three where repeated, so that a busy machine disturbs little;
compare ratios.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from polls.rules.kinds.run_off import RankedCount

NEXT_VOTES = 500
BURST_VOTES = 500  # between two frames: 5,000 votes/s at ten frames a second
Ballots = list[tuple[int, ...]]


@dataclass(frozen=True)
class Case:
    options: int
    ranked: int
    popularity: str  # even: every round is nearly a tie; skewed: a few favourites

    @property
    def name(self) -> str:
        return f"{self.options} options, {self.ranked} ranked, {self.popularity}"

    def ballots(self, number: int) -> Ballots:
        """Full random rankings (Plackett-Luce), cut to the first `ranked`."""
        rng = random.Random(self.name)
        weights = [1.0 if self.popularity == "even" else 1 / (at + 3) for at in range(self.options)]

        def order() -> tuple[int, ...]:
            keys = [rng.random() ** (1 / weight) for weight in weights]
            return tuple(sorted(range(self.options), key=keys.__getitem__, reverse=True))

        return [order()[: self.ranked] for _ in range(number)]


CASES = [
    Case(5, 5, "skewed"),
    Case(10, 10, "skewed"),
    Case(10, 10, "even"),
    Case(20, 20, "skewed"),
    Case(20, 20, "even"),
    Case(50, 10, "skewed"),
    Case(50, 10, "even"),
    Case(50, 50, "even"),
]


def milliseconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return (time.thread_time() - start) * 1e3


def best_of(times: int, work: Callable[[], object]) -> float:
    return min(milliseconds(work) for _ in range(times))


def one_pass(ballots: Counter[tuple[int, ...]], out: Sequence[bool]) -> list[int]:
    counts = [0] * (len(out) + 1)
    for ballot, n in ballots.items():
        for option in ballot:
            if not out[option]:
                counts[option] += n
                break
        else:
            counts[-1] += n
    return counts


def plain_count(ballots: Counter[tuple[int, ...]], options: int) -> int:
    """The winner, by a pass over the distinct ballots in each round."""
    out = [False] * options
    while True:
        counts = one_pass(ballots, out)
        continuing = [option for option in range(options) if not out[option]]
        leader = max(continuing, key=counts.__getitem__)
        if 2 * counts[leader] > sum(counts[option] for option in continuing):
            return leader
        out[min(continuing, key=counts.__getitem__)] = True


def filled(case: Case, ballots: Ballots) -> RankedCount:
    count = RankedCount(range(case.options), b"bench")
    count.add_many(ballots)
    return count


def memory_mb(case: Case, ballots: Ballots) -> float:
    """What the count keeps of its own after a result; ballots given in are not part of it."""
    tracemalloc.start()
    count = filled(case, ballots)
    count.result()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del count
    return kept / 1e6


def first_result(case: Case, ballots: Ballots) -> Iterator[float]:
    """A count that has to walk for every round, which is the worst a result can cost."""
    for _ in range(3):
        count = filled(case, ballots)
        yield milliseconds(count.result)


def add_each(count: RankedCount, votes: Ballots) -> None:
    for vote in votes:
        count.add(vote)


def next_results(count: RankedCount, votes: Ballots) -> list[float]:
    """One result after each vote, in order of cost."""
    taken = []
    for vote in votes:
        count.add(vote)
        taken.append(milliseconds(count.result))
    return sorted(taken)


def measure(case: Case, number: int) -> list[str]:
    ballots = case.ballots(number + NEXT_VOTES + BURST_VOTES)
    cast, coming, burst = (
        ballots[:number],
        ballots[number : number + NEXT_VOTES],
        ballots[number + NEXT_VOTES :],
    )
    distinct = Counter(cast)
    plain = best_of(3, lambda: plain_count(distinct, case.options))
    last_two = [option > 1 for option in range(case.options)]
    single = best_of(3, lambda: one_pass(distinct, last_two))
    build = best_of(3, lambda: filled(case, cast))
    cold = min(first_result(case, cast))
    count = filled(case, cast)
    count.result()
    after = next_results(count, coming)
    adding = milliseconds(lambda: add_each(count, burst)) / len(burst)
    after_burst = milliseconds(count.result)
    middle = after[len(after) // 2]
    row = [
        f"{len(distinct):,}",
        f"{plain:.0f}",
        f"{single:.1f}",
        f"{build:.0f}",
        f"{memory_mb(case, cast):.1f}",
        f"{cold:.2f}",
        f"{middle:.3f}",
        f"{after[len(after) * 99 // 100]:.3f}",
        f"{after[-1]:.2f}",
        f"{adding * 1e3:.1f}",
        f"{after_burst:.2f}",
        f"{plain / middle:,.0f}",
    ]
    gc.collect()
    return [case.name, *row]


HEAD = [
    "case",
    "distinct",
    "plain count ms",
    "one pass ms",
    "build ms",
    "memory MB",
    "first result ms",
    "next result ms: median",
    "p99",
    "worst",
    "add µs",
    f"result after {BURST_VOTES} votes ms",
    "plain / next",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ballots", type=int, default=100_000)
    number = parser.parse_args().ballots
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for case in CASES:
        print("| " + " | ".join(measure(case, number)) + " |", flush=True)


if __name__ == "__main__":
    main()
