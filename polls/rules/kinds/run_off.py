"""Ranked polls counted live: instant run-off with every round, and the Condorcet winner.

Pure: no Django, no I/O, no clock. The result depends on the counted ballots, the options
and the tie seed only, never on the order in which ballots came or went.
A result after a few new ballots must never cost a pass over all ballots; how that is done
stands at `_Node` and `RankedCount`, why in docs/decisions/ranked-count.md.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from struct import Struct
from typing import Any, ClassVar, Literal, TypedDict, get_args

TieRule = Literal["earlier_round", "head_to_head", "lot"]
TIE_RULES: tuple[str, ...] = get_args(TieRule)
Ballot = tuple[int, ...]

LANE_BITS = 64
LANE_MASK = (1 << LANE_BITS) - 1
BULK_BALLOTS = 20_000


class RoundJson(TypedDict):
    """One round as the API shows it; keys of `counts` are option ids as strings."""

    counts: dict[str, int]
    eliminated: int | None
    exhausted: int
    tied: list[int]
    tie_rule: TieRule | None


class RankedJson(TypedDict):
    """What a ranked poll adds to its results."""

    rounds: list[RoundJson]
    winner: int | None
    tie: bool
    condorcet_winner: int | None


@dataclass(frozen=True, slots=True)
class Round:
    """One round of the run-off.

    Attributes:
        counts: ballots with each continuing option, zeros too, in the poll's option order.
        eliminated: the option that leaves after this round; None in the last round.
        exhausted: ballots that name no continuing option.
        tied: options that shared the last place, when there were several; else empty.
        tie_rule: what decided between them (see `RankedCount`); None when nothing had to.
    """

    counts: dict[int, int]
    eliminated: int | None
    exhausted: int
    tied: tuple[int, ...] = ()
    tie_rule: TieRule | None = None


@dataclass(frozen=True, slots=True)
class RankedResult:
    """A whole count.

    Attributes:
        rounds: at least one. Without any ballot: one round of zeros, none eliminated.
        winner: the option with more than half of the last round's counts; None if no ballot
            names any option.
        tie: the last two options were level, so that the tie rule named the winner.
        condorcet_winner: the option that beats every other one head to head, if there is one.
    """

    rounds: tuple[Round, ...]
    winner: int | None
    tie: bool
    condorcet_winner: int | None

    def to_json(self) -> RankedJson:
        """The result in plain types, as the API and the frames show it."""
        return {
            "rounds": [
                {
                    "counts": {str(option): votes for option, votes in item.counts.items()},
                    "eliminated": item.eliminated,
                    "exhausted": item.exhausted,
                    "tied": list(item.tied),
                    "tie_rule": item.tie_rule,
                }
                for item in self.rounds
            ],
            "winner": self.winner,
            "tie": self.tie,
            "condorcet_winner": self.condorcet_winner,
        }


class _Node:
    """All ballots whose first choices are one *set* of options, in any order.

    Once these options are out, the order in which a ballot named them cannot matter any more.
    So ballots are merged by the set of their first choices: ten options make at most 1,024
    nodes, whether there are a hundred ballots or a million.

    `lanes` holds the weight of the ballots by their next choice, one 64-bit lane an option and
    the last lane for ballots that end here, so that a node is added to a round's counts by one
    addition. Behind each next choice stand either the next node (`heirs`) or, while these
    are few, the rests of the ballots themselves (`piles`), which saves the nodes that
    only one ballot would use.
    """

    __slots__ = ("heirs", "lanes", "piles", "walk")

    def __init__(self) -> None:
        self.lanes = 0
        self.heirs: dict[int, _Node] = {}
        self.piles: dict[int, dict[Ballot, int]] = {}
        self.walk: object = None  # the last walk that came by


def _count_without(root: _Node, unit: Sequence[int], gone: Iterable[int]) -> tuple[int, int]:
    """The counts, in lanes like a node's, when `gone` are out, and how many steps it took.

    Visits each node whose whole set is eliminated, once. The lanes of `gone` mean nothing.
    """
    out = [False] * (len(unit) - 1)
    for option in gone:
        out[option] = True
    mark = object()
    gained = [0] * len(unit)
    packed = steps = 0
    stack = [root]
    while stack:
        node = stack.pop()
        if node.walk is mark:
            continue
        node.walk = mark
        packed += node.lanes
        steps += len(node.heirs) + 1
        stack += [heir for option, heir in node.heirs.items() if out[option]]
        for pile in [pile for option, pile in node.piles.items() if out[option]]:
            steps += len(pile)
            for tail, n in pile.items():
                for option in tail:
                    if not out[option]:
                        gained[option] += n
                        break
                else:
                    gained[-1] += n
    return packed + sum(n * one for n, one in zip(gained, unit, strict=True) if n), steps


class _Walk:
    """The same for one set after another, each with one more option out.

    Keeps at hand what lies with each continuing option, so that a further elimination moves
    only that: dearer than `_count_without` for a few sets, far cheaper for many.
    `packed` holds the counts now, `steps` how much work it was.
    """

    def __init__(self, root: _Node, unit: Sequence[int], gone: Iterable[int]) -> None:
        self.packed = 0
        self.steps = 0
        self._unit = unit
        self._mark = object()  # nodes keep this, not the walk and all its lists
        self._out = [False] * (len(unit) - 1)
        self._nodes: list[list[_Node]] = [[] for _ in self._out]
        self._piles: list[list[dict[Ballot, int]]] = [[] for _ in self._out]
        self._tails: list[list[tuple[Iterator[int], int]]] = [[] for _ in self._out]
        for option in gone:
            self._out[option] = True
        self._visit([root])

    def go_on(self, gone: Iterable[int]) -> None:
        """Hand on the ballots that lie with those of `gone` that are not out yet."""
        for option in [option for option in gone if not self._out[option]]:
            self._out[option] = True
            self._visit(self._nodes[option])
            for pile in self._piles[option]:
                self._hand_on((iter(tail), n) for tail, n in pile.items())
            self._hand_on(self._tails[option])

    def _visit(self, stack: list[_Node]) -> None:
        out, nodes, piles = self._out, self._nodes, self._piles
        while stack:
            node = stack.pop()
            if node.walk is self._mark:
                continue
            node.walk = self._mark
            self.packed += node.lanes
            self.steps += len(node.heirs) + 1
            for option, heir in node.heirs.items():
                if out[option]:
                    stack.append(heir)
                else:
                    nodes[option].append(heir)
            for option, pile in node.piles.items():
                if out[option]:
                    self._hand_on((iter(tail), n) for tail, n in pile.items())
                else:
                    piles[option].append(pile)

    def _hand_on(self, tails: Iterable[tuple[Iterator[int], int]]) -> None:
        """Give each ballot to its next continuing option; its iterator keeps the place."""
        out, waiting = self._out, self._tails
        gained = [0] * len(self._unit)
        moved = 0
        for item in tails:
            moved += 1
            for option in item[0]:
                if not out[option]:
                    waiting[option].append(item)
                    gained[option] += item[1]
                    break
            else:
                gained[-1] += item[1]
        self.steps += 2 * moved
        self.packed += sum(n * one for n, one in zip(gained, self._unit, strict=True) if n)


class RankedCount:
    """The ballots of one ranked poll, kept so that the count is always at hand.

    The count: while no option has more than half of the ballots that still name a continuing
    option, exactly one option, the last, is eliminated and its ballots go to their next choice.

    Ties for the last place, in this order:
      1. `earlier_round`: of those tied, the option that had fewest in the most recent earlier round
         in which they differed leaves (the backwards tie-break of Scottish STV:
         Scottish Local Government Elections Order 2007, Schedule 1, rule 50);
      2. `head_to_head`: else the option that is ranked above the others that are tied by
         the fewest ballots, summed over these others;
      3. `lot`: else a lot drawn before the first vote: the lowest SHA-256 of
         `tie_seed`, ":" and the option id in decimal. Anyone can check it, and no order
         of arrival, of options or of a dictionary changes it.
    Two last options that are level are settled the same way: `RankedResult.tie`.

    Cost: `add` and `remove` are O(ballot length). `result` after them looks up the counts of
    each elimination set of the last counts and brings those up to date with the ballots
    that came since; only a set never met before costs a walk over the nodes (`_Node`).
    Memory grows with the distinct sets of first choices, not with the ballots.
    Not thread-safe: one owner, or a lock around it.
    """

    pile_limit: ClassVar[int] = 8  # distinct ballots a pile holds before it becomes a node
    single_sets: ClassVar[int] = 5  # new sets counted one by one before a walk pays
    memo_sets: ClassVar[int] = 1024  # elimination sets whose counts are remembered

    def __init__(self, options: Sequence[int], tie_seed: bytes = b"") -> None:
        """An empty count.

        Args:
            options: option ids in the order in which counts are to be shown.
            tie_seed: public and fixed for the poll, such as its id.
        Raises:
            ValueError: no option, or one twice.
        """
        if not options or len(set(options)) != len(options):
            raise ValueError("options must be distinct and at least one")
        self._options = tuple(options)
        self._index = {option: at for at, option in enumerate(options)}
        size = len(options)
        self._unit = [1 << (LANE_BITS * at) for at in range(size + 1)]
        self._struct = Struct(f"<{size + 1}Q")
        self._lots = [hashlib.sha256(b"%b:%d" % (tie_seed, o)).digest() for o in options]
        self._everyone = sum(self._unit[:size])
        self._ballots = 0
        self._nodes = {0: _Node()}
        self._above = [0] * size  # lane b of row a: ballots that rank a above b
        self._memo: dict[int, tuple[int, int]] = {}  # eliminated set → packed counts, journal read
        self._journal: list[tuple[Ballot, int]] = []  # changes since the memo was started
        self._journal_limit = 0
        self._result: RankedResult | None = None

    @property
    def options(self) -> tuple[int, ...]:
        """The option ids, in the order of `counts`."""
        return self._options

    @property
    def ballots(self) -> int:
        """How many ballots are counted, empty ones too."""
        return self._ballots

    def add(self, ballot: Sequence[int], n: int = 1) -> None:
        """Count a ballot `n` times. O(ballot length).

        Args:
            ballot: distinct option ids, best first. May be partial; an empty one counts as
                exhausted from the first round.
            n: at least 1.
        Raises:
            ValueError: unknown or repeated option, or n < 1; nothing was changed.
        """
        self._change(self._checked(ballot, n), n)

    def remove(self, ballot: Sequence[int], n: int = 1) -> None:
        """Take back a ballot that was added `n` times or more. O(ballot length).

        Raises:
            ValueError: as for `add`, or a count would become negative: no such ballot was
                added. Ballots are merged, so that not every wrong call can be noticed.
        """
        checked = self._checked(ballot, n)
        self._require(checked, n)
        self._change(checked, -n)

    def add_many(self, ballots: Iterable[Sequence[int]]) -> None:
        """Count many ballots, streamed: equal ones are put together first.

        Raises:
            ValueError: as for `add`; the ballots before the bad batch are counted.
        """
        self._forget()
        rows = iter(ballots)
        while batch := Counter(map(tuple, islice(rows, BULK_BALLOTS))):
            checked = [(self._checked(ballot, n), n) for ballot, n in batch.items()]
            for ballot, n in checked:
                self._change(ballot, n)

    def first_preferences(self) -> dict[int, int]:
        """Ballots by first choice, zeros too. O(options)."""
        return dict(zip(self._options, self._unpack(self._nodes[0].lanes), strict=False))

    def result(self) -> RankedResult:
        """The count of the ballots as they are now. Repeated without a change, it costs nothing."""
        if self._result is None:
            self._result = self._count()
        return self._result

    def results(self) -> dict[str, Any]:
        """The same as the API and the frames show it."""
        return dict(self.result().to_json())

    def _checked(self, ballot: Sequence[int], n: int) -> Ballot:
        if n < 1:
            raise ValueError("a ballot counts at least once")
        try:
            places = tuple([self._index[option] for option in ballot])
        except KeyError as unknown:
            raise ValueError(f"no such option: {unknown}") from None
        if len(set(places)) != len(places):
            raise ValueError("an option is ranked twice")
        return places

    def _change(self, ballot: Ballot, n: int) -> None:
        self._file(self._nodes[0], 0, ballot, n)
        below = self._everyone
        for option in ballot:
            below -= self._unit[option]
            self._above[option] += n * below
        self._ballots += n
        self._result = None
        if self._memo:
            self._journal.append((ballot, n))
            if len(self._journal) > self._journal_limit:
                self._forget()

    def _forget(self) -> None:
        self._memo.clear()
        self._journal.clear()
        self._journal_limit = 0

    # Ballots, merged by the set of their first choices

    def _file(self, node: _Node, prefix: int, tail: Ballot, n: int) -> None:
        """Lay what is left of a ballot down at `node`, whose set is the bit mask `prefix`."""
        unit = self._unit
        for at, option in enumerate(tail, 1):
            node.lanes += n * unit[option]
            prefix |= 1 << option
            heir = node.heirs.get(option)
            if heir is None:
                heir = self._nodes.get(prefix)
                if heir is None or option in node.piles:
                    self._lay_on_pile(node, option, prefix, tail[at:], n)
                    return
                node.heirs[option] = heir
            node = heir
        node.lanes += n * unit[-1]

    def _lay_on_pile(self, node: _Node, option: int, prefix: int, tail: Ballot, n: int) -> None:
        pile = node.piles.setdefault(option, {})
        weight = pile.get(tail, 0) + n
        if weight:
            pile[tail] = weight
        else:
            del pile[tail]
        if len(pile) > self.pile_limit:
            heir = node.heirs[option] = self._nodes.setdefault(prefix, _Node())
            for rest, m in pile.items():
                self._file(heir, prefix, rest, m)
        if not pile or option in node.heirs:
            del node.piles[option]

    def _require(self, ballot: Ballot, n: int) -> None:
        """Raise ValueError unless taking `ballot` away leaves every weight at zero or more."""
        node: _Node | None = self._nodes[0]
        for at, option in enumerate((*ballot, len(self._options)), 1):
            if node is None or node.lanes >> (LANE_BITS * option) & LANE_MASK < n:
                raise ValueError("no such ballot was counted")
            if option in node.piles:
                if node.piles[option].get(ballot[at:], 0) < n:
                    raise ValueError("no such ballot was counted")
                return
            node = node.heirs.get(option)

    # The rounds

    def _count(self) -> RankedResult:
        history: list[tuple[int, ...]] = []
        rounds: list[Round] = []
        continuing = list(range(len(self._options)))
        gone: list[int] = []
        tie = False
        for counts in self._each_round(gone):
            history.append(counts)
            named = sum(counts[option] for option in continuing)
            leader = max(continuing, key=counts.__getitem__)
            if 2 * counts[leader] > named or not named:
                rounds.append(self._round(continuing, counts))
                winner = self._options[leader] if named else None
                return RankedResult(tuple(rounds), winner, tie, self._condorcet_winner())
            last, tied, rule = self._last(continuing, history)
            rounds.append(self._round(continuing, counts, last, tied, rule))
            tie = len(continuing) == 2  # level, or one of them would have a majority
            continuing.remove(last)
            gone.append(last)
        raise AssertionError("a count ends with a majority")

    def _each_round(self, gone: list[int]) -> Iterator[tuple[int, ...]]:
        """Counts of each round; the reader appends to `gone` before asking for the next."""
        walk: _Walk | None = None
        unseen = steps = 0
        while True:
            eliminated = sum(1 << option for option in gone)
            packed = self._recall(eliminated)
            if packed is None:
                unseen += 1
                if unseen <= self.single_sets:
                    packed, cost = _count_without(self._nodes[0], self._unit, gone)
                    steps += cost
                else:
                    walk = walk or _Walk(self._nodes[0], self._unit, gone)
                    walk.go_on(gone)
                    packed = walk.packed
                self._limit_journal(steps + (walk.steps if walk else 0), len(gone) + 1)
            self._remember(eliminated, packed)
            yield self._unpack(packed)

    def _recall(self, eliminated: int) -> int | None:
        """The counts after `eliminated`, brought up to date; None if not in memory."""
        known = self._memo.pop(eliminated, None)
        if known is None:
            return None
        packed, read = known
        for ballot, n in islice(self._journal, read, None):
            for option in ballot:
                if not eliminated >> option & 1:
                    packed += n * self._unit[option]
                    break
            else:
                packed += n * self._unit[-1]
        return packed

    def _remember(self, eliminated: int, packed: int) -> None:
        self._memo.pop(eliminated, None)
        self._memo[eliminated] = (packed, len(self._journal))
        if len(self._memo) > self.memo_sets:
            del self._memo[next(iter(self._memo))]

    def _limit_journal(self, steps: int, rounds: int) -> None:
        """Catching up must never cost more than the walk that it saves."""
        self._journal_limit = max(self._journal_limit, 16, steps // (2 * rounds))

    def _unpack(self, packed: int) -> tuple[int, ...]:
        return self._struct.unpack(packed.to_bytes(self._struct.size, "little"))

    def _round(
        self,
        continuing: Sequence[int],
        counts: Sequence[int],
        last: int | None = None,
        tied: Sequence[int] = (),
        rule: TieRule | None = None,
    ) -> Round:
        return Round(
            counts={self._options[option]: counts[option] for option in continuing},
            eliminated=None if last is None else self._options[last],
            exhausted=counts[-1],
            tied=tuple(self._options[option] for option in tied),
            tie_rule=rule,
        )

    # Which option is last, and pairs

    def _last(
        self, continuing: Sequence[int], history: Sequence[Sequence[int]]
    ) -> tuple[int, list[int], TieRule | None]:
        """Who leaves after the newest round of `history`, who was tied, what decided it."""
        tied = lowest(continuing, history[-1].__getitem__)
        if len(tied) == 1:
            return tied[0], [], None
        left = tied
        for counts in reversed(history[:-1]):
            left = lowest(left, counts.__getitem__)
            if len(left) == 1:
                return left[0], tied, "earlier_round"
        before = 0
        while len(left) != before:
            before = len(left)
            left = lowest(left, self._support_within(left))
        if len(left) == 1:
            return left[0], tied, "head_to_head"
        return min(left, key=self._lots.__getitem__), tied, "lot"

    def _support_within(self, options: Sequence[int]) -> Callable[[int], int]:
        """For each of `options`: ballots that rank it above another one of them, summed."""
        sums = {a: sum(self._ranked_above(a, b) for b in options if b != a) for a in options}
        return sums.__getitem__

    def _ranked_above(self, a: int, b: int) -> int:
        return self._above[a] >> (LANE_BITS * b) & LANE_MASK

    def _condorcet_winner(self) -> int | None:
        """The option that more ballots rank above than below each other one. O(options)."""

        def beats(a: int, b: int) -> bool:
            return self._ranked_above(a, b) > self._ranked_above(b, a)

        all_options = range(len(self._options))
        champion = 0
        for option in all_options:
            if option != champion and not beats(champion, option):
                champion = option
        if self._ballots and all(beats(champion, o) for o in all_options if o != champion):
            return self._options[champion]
        return None


def lowest(options: Sequence[int], key: Callable[[int], int]) -> list[int]:
    """Those of `options` that share the lowest key, in their order."""
    least = min(map(key, options))
    return [option for option in options if key(option) == least]
