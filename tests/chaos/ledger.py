"""What clients received, written down as it came: every acknowledgement and every frame.

What is wrong in itself is noted at once; the rest is for the checker.
"""

import bisect
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

_KNOWN_FRAMES_MOST = 20_000

Version = tuple[int, int]  # epoch, version


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise; `rule` is a name in checker.RULES."""

    rule: str
    what: str


class Ack(NamedTuple):
    """One 2xx to a vote. Times are the test's own clock, in seconds."""

    voter: str
    epoch: int
    seq: int
    marks: str
    status: int
    sent: float
    answered: float


class Shown(NamedTuple):
    """A tally as one client received it."""

    voters: int
    votes: int
    counts: str


class Closing(NamedTuple):
    """From the acknowledged close to the request that opens the poll again."""

    version: Version
    acknowledged: float
    reopened: float


@dataclass(eq=False)
class Screen:
    """One connection of one watcher, from its snapshot to its end."""

    poll: str
    process: int
    opened: float
    ended: float | None = None
    at: "array[float]" = field(default_factory=lambda: array("d"))
    epochs: "array[int]" = field(default_factory=lambda: array("q"))
    versions: "array[int]" = field(default_factory=lambda: array("q"))

    @property
    def newest(self) -> Version:
        return (self.epochs[-1], self.versions[-1]) if self.at else (0, -1)

    def first_at_least(self, version: Version) -> float | None:
        """When it first showed this version or a newer one."""
        place = bisect.bisect_left(list(zip(self.epochs, self.versions, strict=True)), version)
        return self.at[place] if place < len(self.at) else None


class Disturbance(NamedTuple):
    """When something was broken on purpose that screens of these processes may feel."""

    what: str
    processes: frozenset[int]
    start: float
    end: float


@dataclass
class PollLedger:
    """What clients received of one poll."""

    kind: str
    vote_change: bool
    hidden: bool
    acks: list[Ack] = field(default_factory=list)
    tallies: dict[Version, Shown] = field(default_factory=dict)
    finals: set[Version] = field(default_factory=set)
    closings: list[Closing] = field(default_factory=list)
    attempted: set[str] = field(default_factory=set)
    first_seq: dict[str, Version] = field(default_factory=dict)


class Ledger:
    """All that clients received in a run."""

    def __init__(self) -> None:
        self.polls: dict[str, PollLedger] = {}
        self.screens: list[Screen] = []
        self.disturbances: list[Disturbance] = []
        self.violations: list[Violation] = []
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()  # tries to vote that got no answer, by why
        self.frames = 0
        self.latencies: array[float] = array("d")
        self._known: dict[bytes, tuple[str, Version | None]] = {}

    @property
    def acknowledged(self) -> int:
        return sum(len(poll.acks) for poll in self.polls.values())

    def violate(self, rule: str, what: str) -> None:
        self.violations.append(Violation(rule, what))

    def note_answer(self, status: int, headers: dict[str, str], where: str) -> None:
        """Every HTTP answer, of any endpoint."""
        self.statuses[status] += 1
        if status >= 500 and status != 503:
            self.violate("answers", f"{status} from {where}")
        if status in (429, 503) and "retry-after" not in headers:
            self.violate("answers", f"{status} without Retry-After from {where}")

    def note_ack(
        self, poll_id: str, voter: str, marks: str, status: int, body: dict[str, Any],
        sent: float, answered: float,
    ) -> None:  # fmt: skip
        poll = self.polls[poll_id]
        vote = body["vote"]
        answered_marks = orjson.dumps(vote.get("choices", vote.get("ratings"))).decode()
        at = (vote["epoch"], vote["seq"])
        if answered_marks != marks:
            self.violate("retry", f"{voter} sent {marks}, acknowledged {answered_marks} at {at}")
        if not poll.vote_change:
            first = poll.first_seq.setdefault(f"{voter}/{at[0]}", at)
            if first != at:
                self.violate("retry", f"{voter} was answered {first}, then {at}")
        poll.acks.append(Ack(voter, *at, marks, status, sent, answered))
        self.latencies.append(answered - sent)
        if body["results"] is not None:
            self._note_results(poll_id, poll, body["results"], "a vote's answer")

    def note_results(self, poll_id: str, results: dict[str, Any]) -> None:
        self._note_results(poll_id, self.polls[poll_id], results, "GET results")

    def note_frame(self, screen: Screen, text: bytes, now: float) -> None:
        self.frames += 1
        known = self._known.get(text)
        if known is None:
            known = self._read_frame(screen.poll, text)
            if len(self._known) > _KNOWN_FRAMES_MOST:
                self._known.clear()
            self._known[text] = known
        kind, version = known
        if kind == "snapshot" and screen.at:
            self.violate("order", "a second snapshot on one socket")
        if version is None:
            return
        if version < screen.newest:
            self.violate("order", f"{screen.poll}: {version} after {screen.newest}")
        screen.at.append(now)
        screen.epochs.append(version[0])
        screen.versions.append(version[1])

    def _read_frame(self, poll_id: str, text: bytes) -> tuple[str, Version | None]:
        frame = orjson.loads(text)
        kind: str = frame["type"]
        results = frame if kind == "results" else frame.get("results")
        if not results:
            return kind, None
        return kind, self._note_results(poll_id, self.polls[poll_id], results, f"a {kind} frame")

    def _note_results(
        self, poll_id: str, poll: PollLedger, results: dict[str, Any], where: str
    ) -> Version:
        if poll.hidden:
            self.violate("hidden", f"{where} shows a tally of {poll_id}")
        version = (results["epoch"], results["version"])
        counts = orjson.dumps(results["counts"], option=orjson.OPT_SORT_KEYS).decode()
        shown = Shown(results["voters"], results["votes"], counts)
        before = poll.tallies.setdefault(version, shown)
        if before != shown:
            self.violate("committed", f"{poll_id} {version}: {before}, in {where} {shown}")
        if results["final"]:
            poll.finals.add(version)
        return version
