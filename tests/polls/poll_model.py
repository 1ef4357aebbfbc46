"""Polls by the published rules, in plain dicts and lists: what tests compare with.

Written for reading, from the contract; shares no code with `polls.rules`. Everything is
counted again from all events each time it is asked for, so it cannot drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from polls.rules.kinds.run_off import RankedCount

Who = Mapping[str, str | None]


@dataclass
class Answer:
    """What must become of one vote: `event` is the recorded one, if any; `refusals` the codes
    of which a refusal may name any (a ballot can be wrong in several ways)."""

    verdict: str
    event: dict[str, Any] | None = None
    refusals: frozenset[str] = frozenset()


def refused(*codes: str, event: dict[str, Any] | None = None) -> Answer:
    return Answer("refused", event, frozenset(codes))


@dataclass
class ModelPoll:
    """One poll. `waits` and `ends`: an opening, a closing by the clock is still ahead."""

    kind: str
    policy: str
    may_change: bool
    at_least: int
    at_most: int
    texts: dict[int, str]
    min_voters: int = 0
    draft: bool = False
    waits: bool = False
    ends: bool = False
    has_duration: bool = False
    paused: bool = False
    closed: bool = False
    deleted: bool = False
    epoch: int = 1
    codes: dict[str, bool] = field(default_factory=dict)  # code → still good
    events: list[dict[str, Any]] = field(default_factory=list)
    past: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    corrections: list[tuple[int, str, str, int]] = field(default_factory=list)

    # The owner's acts and the clock

    @property
    def status(self) -> str:
        if self.closed:
            return "closed"
        if self.draft:
            return "draft"
        if self.waits:
            return "scheduled"
        return "paused" if self.paused else "open"

    def open(self) -> None:
        before = self.status
        if before == "open":
            return
        self.draft = self.waits = self.paused = self.closed = False
        if self.has_duration and before != "paused":
            self.ends = True

    def pause(self) -> str | None:
        """The code of the refusal, or None."""
        if self.status == "closed":
            return "poll_closed"
        if self.status in ("draft", "scheduled"):
            return "poll_not_open"
        self.paused = True
        return None

    def close(self) -> None:
        self.closed = True

    def opening_time_comes(self) -> None:
        self.waits = False

    def closing_time_comes(self) -> None:
        self.waits = False
        if self.ends:
            self.ends = False
            self.closed = True

    def reset(self) -> None:
        self.past[self.epoch] = self.events
        self.events = []
        self.epoch += 1

    def correct(self, texts: dict[int, str]) -> None:
        if self.events or any(self.past.values()):
            self.corrections += [
                (number, self.texts[number], text, self.version)
                for number, text in sorted(texts.items())
                if text != self.texts[number]
            ]
        self.texts = texts

    # Votes

    @property
    def version(self) -> int:
        return len(self.events)

    def voter(self, who: Who) -> tuple[str, str] | str:
        """How this poll tells the voter from others, or why it does not take them."""
        if self.policy == "account":
            return ("account", who["account"]) if who["account"] else "voter_required"
        if self.policy == "code":
            code = who["voter_code"]
            if not code:
                return "voter_required"
            return ("code", code) if self.codes.get(code) else "invalid_voter_code"
        if self.policy == "ip":
            return ("address", str(who["address"]))
        counted_by = {"device": "device", "open": "nonce"}[self.policy]
        return (counted_by, who[counted_by] or f"key {who['idempotency_key']}")

    def is_own(self, who: Who, event: Mapping[str, Any] | None) -> bool:
        """Whether this person may see and change their voter's vote: where several are one voter,
        who has cast it."""
        if event is None or self.policy not in ("code", "ip"):
            return True
        return bool(event["caster"] == caster_of(who))

    def vote_of(self, voter: tuple[str, str]) -> dict[str, Any] | None:
        for event in reversed(self.events):
            if event["voter"] == voter:
                return event if event["marks"] is not None else None
        return None

    def cast(self, who: Who, body: Mapping[str, Any] | None) -> Answer:
        """One vote; without a body, the wish to take it back."""
        if self.deleted:
            return refused("poll_not_found")
        voter = self.voter(who)
        if isinstance(voter, str):
            return refused(voter)
        if body is None:
            return self._retract(voter, who)
        faults = self.faults_of(body)
        if faults:
            # A poll that takes no votes says so before any error of a readable ballot.
            if self.status != "open":
                closed = "poll_closed" if self.status == "closed" else "poll_not_open"
                unreadable = {"malformed"} & set(faults)
                return refused(closed, *unreadable)
            return refused(*faults)
        marks = self.marks_of(body)
        earlier = self.vote_of(voter)
        is_own = self.is_own(who, earlier)
        if earlier and is_own and earlier["marks"] == marks:
            return Answer("repeated", earlier)
        shown = earlier if is_own else None
        if self.status != "open":
            code = "poll_closed" if self.status == "closed" else "poll_not_open"
            return refused(code, event=shown)
        if earlier and not (is_own and self.may_change):
            return refused("already_voted", event=shown)
        return Answer("replaced" if earlier else "accepted", self._record(voter, who, marks))

    def _retract(self, voter: tuple[str, str], who: Who) -> Answer:
        earlier = self.vote_of(voter)
        if earlier is None or not self.is_own(who, earlier):
            return refused("not_voted")
        if self.status != "open":
            return refused("poll_closed" if self.status == "closed" else "poll_not_open")
        if not self.may_change:
            return refused("vote_change_off")
        return Answer("retracted", self._record(voter, who, None))

    def _record(self, voter: tuple[str, str], who: Who, marks: Any) -> dict[str, Any]:
        earlier = self.vote_of(voter)
        event = {
            "seq": self.version + 1,
            "voter": voter,
            "caster": caster_of(who),
            "marks": marks,
            "replaces": earlier["seq"] if earlier else None,
        }
        self.events.append(event)
        return event

    def faults_of(self, body: Mapping[str, Any]) -> set[str]:
        """Everything that is wrong with a ballot."""
        rating = self.kind == "rating"
        given: Any = body.get("ratings" if rating else "choices")
        if not isinstance(given, dict if rating else list):
            return {"malformed"}
        faults = set()
        values = list(given.values() if isinstance(given, dict) else given)
        if any(type(value) is not int for value in values):
            faults.add("malformed")
        if rating and any(type(value) is int and not 1 <= value <= 5 for value in values):
            faults.add("malformed")
        known = {str(number) for number in self.texts}
        if any(str(option) not in known for option in given):
            faults.add("invalid_option")
        if len({str(option) for option in given}) != len(given):
            faults.add("duplicate_choices")
        if len(given) < self.at_least:
            faults.add("too_few_choices")
        if len(given) > self.at_most:
            faults.add("too_many_choices")
        return faults

    def marks_of(self, body: Mapping[str, Any]) -> Any:
        """A ballot in the form in which two that mean the same are equal."""
        if self.kind == "rating":
            return dict(body["ratings"])
        choices = list(body["choices"])
        return sorted(choices) if self.kind == "multiple" else choices

    # What must be shown

    def current(self, version: int | None = None) -> list[dict[str, Any]]:
        """The votes that count, one a voter; those that counted at an earlier version."""
        events = self.events[:version]
        last = {event["voter"]: event for event in events}
        return [event for event in events
                if last[event["voter"]] is event and event["marks"] is not None]  # fmt: skip

    def tally(self, version: int | None = None) -> dict[str, Any]:
        ballots = [event["marks"] for event in self.current(version)]
        counts = {
            str(number): sum(1 for marks in ballots if self._counts_for(number, marks))
            for number in self.texts
        }
        return {"voters": len(ballots), "votes": sum(counts.values()), "counts": counts}

    def _counts_for(self, number: int, marks: Any) -> bool:
        if self.kind == "rating":
            return str(number) in marks
        return number == marks[0] if self.kind == "ranked" else number in marks

    def results(self, poll_id: str, tie_seed: bytes) -> dict[str, Any]:
        """The results object of the contract, without `as_of`."""
        tally = self.tally()
        shown: dict[str, Any] = {
            "poll": poll_id,
            "epoch": self.epoch,
            "version": self.version,
            "status": self.status,
            "final": self.closed,
            "voters": tally["voters"],
        }
        if self.min_voters:
            shown["withheld"] = tally["voters"] < self.min_voters
        if tally["voters"] < self.min_voters:
            return shown | {"votes": None, "counts": None}
        shown |= tally
        if self.kind == "rating":
            shown |= self._ratings()
        if self.kind == "ranked":
            count = RankedCount(sorted(self.texts), tie_seed)
            count.add_many([event["marks"] for event in self.current()])
            shown |= count.result().to_json()
        return shown

    def _ratings(self) -> dict[str, Any]:
        given = {
            str(number): [event["marks"][str(number)] for event in self.current()
                          if str(number) in event["marks"]]
            for number in self.texts
        }  # fmt: skip
        return {
            "distribution": {
                option: [stars.count(value) for value in range(1, 6)]
                for option, stars in given.items()
            },
            "means": {option: mean_of(stars) for option, stars in given.items()},
        }


def caster_of(who: Who) -> str:
    """The voter token of a request, or what stands for it."""
    return who["device"] or f"key {who['idempotency_key']}"


def mean_of(stars: list[int]) -> float | None:
    if not stars:
        return None
    exact = Decimal(sum(stars)) / Decimal(len(stars))
    return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))
