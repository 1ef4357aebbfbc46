"""Random lives of polls against a model in memory: the same answers, the same tallies.

Every kind under every voter policy, through a real ballot box on an event loop of its own (on
PostgreSQL half of the batches by its fast lane, else by the committer), the owner's acts through
`services`, results through `reader.read_polls`. After each act everything that is shown must be
what the model says; in the end the record of votes is compared line by line and recounted. See
`poll_model` for the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from polls import errors, events, services
from polls.identity import voter_codes
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.results.reader import PollQuery, Reading, read_polls
from polls.rules.poll import Derivation, PollState, Status
from polls.voting.committer import store
from polls.voting.vote import Cast, Outcome
from tests.polls.poll_model import Answer, ModelPoll, Who
from tests.polls.voting.running_box import RunningBox
from tests.sizes import sized

POLICIES = ("device", "account", "code", "ip", "open")
KINDS = ("single", "multiple", "ranked", "rating")
OPTIONS = 3
VOTERS = 6
MOST_POLLS = 7
COMINGS = ("by token", "as another", "by key")
COMING = (*COMINGS, "by token")
# Two of the polls live through most of what happens, so that their lives get somewhere.
PLACES = st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6])

SETTINGS = settings(
    max_examples=sized(short=6, long=20),
    stateful_step_count=30,
    deadline=None,  # a commit takes what the disk takes
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take minutes
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def ballots(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly valid ballots, some malformed."""
    numbers = st.integers(1, OPTIONS)
    if kind == "rating":
        options = st.sampled_from([str(number) for number in range(1, OPTIONS + 1)])
        sane = st.dictionaries(options, st.integers(1, 5), min_size=1)
        strange = st.dictionaries(
            st.sampled_from(["0", "1", "2", "9", "", "\u0661"]),
            st.one_of(st.integers(-1, 7), st.booleans(), st.none(), st.just(2.0)),
            max_size=4,
        )
        name = "ratings"
    else:
        sizes = {"single": 1}.get(kind, OPTIONS)
        sane = st.lists(numbers, min_size=1, max_size=sizes, unique=True)  # type: ignore[assignment]
        strange = st.lists(  # type: ignore[assignment]
            st.one_of(st.integers(-1, OPTIONS + 2), st.booleans(), st.none(), st.just("1")),
            max_size=OPTIONS + 1,
        )
        name = "choices"
    meant = sane.map(lambda marks: {name: marks})
    odd = st.one_of(
        strange.map(lambda marks: {name: marks}),
        st.sampled_from([{}, {name: None}, {name: "1"}, {"choices": {"1": 5}}, {"ratings": [1]}]),
    )
    return st.one_of(meant, meant, meant, meant, odd)


@dataclass
class Subject:
    """A real poll beside its model."""

    id: UUID
    code: str
    model: ModelPoll
    voter_keys: dict[tuple[str, str], str]
    voter_codes: list[str]

    def who(self, voter: int, nonce: int, coming: str = "by token") -> Who:
        """All that a request of this voter brings: two of them share an address, the first
        one has no account, and some have no voter code or an invented one.

        Args:
            coming: "as another", with another token, is a second person with the same code,
                address or account; "by key" is one who brings an Idempotency-Key instead.
        """
        given: Sequence[str | None] = [*self.voter_codes, "ZZZZ-9999", None, ""]
        device, key = {
            "by token": (f"device-{voter}", ""),
            "as another": (f"other-{voter}", ""),
            "by key": ("", f"key-{voter}"),
        }[coming]
        return {
            "device": device,
            "address": f"2001:db8::{voter // 2}",
            "nonce": "" if key else f"nonce-{nonce}",
            "account": str(voter) if voter else None,
            "voter_code": given[voter % len(given)],
            "idempotency_key": key,
        }


# A vote as it is sent: the poll, the voter, the body or None to retract, by join code or by id.
CastRequest = tuple[Subject, Who, Mapping[str, Any] | None, bool]


class PollsMachine(RuleBasedStateMachine):
    """The owner acts, the clock moves on, voters vote."""

    kind: str
    published: list[PollState]

    def __init__(self) -> None:
        super().__init__()
        self.subjects: list[Subject] = []
        self.published = []
        self.cast: list[CastRequest] = []
        self.box = RunningBox()
        self.by_loop = True  # every other batch

    def _hear(self, states: Sequence[PollState], **_: Any) -> None:
        self.published.extend(states)

    def _make(self, data: st.DataObject, policy: str, *, plain: bool) -> None:
        kind = self.kind
        at_most = 1 if kind == "single" else data.draw(st.integers(1, OPTIONS), "at most")
        model = ModelPoll(
            kind=kind,
            policy=policy,
            may_change=data.draw(st.booleans(), "votes may change"),
            at_least=data.draw(st.integers(1, at_most), "at least"),
            at_most=at_most,
            texts={number: f"option {number}" for number in range(1, OPTIONS + 1)},
            min_voters=data.draw(st.sampled_from([0, 0, 0, 2]), "min voters"),
        )
        schedule: dict[str, Any] = {}
        if not plain:
            model.draft = data.draw(st.booleans(), "draft")
            model.waits = data.draw(st.booleans(), "opens later")
        if model.waits:
            schedule["opens_at"] = timezone.now() + timedelta(hours=1)
        closing = data.draw(st.sampled_from([None, "closes_at", "duration"]), "closing")
        if closing == "closes_at":
            schedule["closes_at"] = timezone.now() + timedelta(hours=2)
            model.ends = True
        elif closing == "duration":
            schedule["duration"] = 3600
            model.has_duration, model.ends = True, not model.draft
        poll, _ = services.create_poll(
            question="?", options=list(model.texts.values()), kind=kind, voter_policy=policy,
            derivation=data.draw(st.sampled_from([*Derivation]), "derivation"),
            vote_change=model.may_change, min_choices=model.at_least, max_choices=model.at_most,
            min_voters=model.min_voters, is_draft=model.draft, **schedule,
        )  # fmt: skip
        codes = []
        if policy == "code":
            codes = [code for _, code in voter_codes.make_voter_codes(poll.id, VOTERS - 2)]
            model.codes = dict.fromkeys(codes, True)
        self.subjects.append(Subject(poll.id, poll.code, model, {}, codes))

    @initialize(data=st.data())
    def one_open_poll_for_each_policy(self, data: st.DataObject) -> None:
        events.tallies_changed.connect(self._hear, weak=False)
        for policy in data.draw(
            st.lists(st.sampled_from(POLICIES), min_size=len(POLICIES), unique=True), "policies"
        ):
            self._make(data, policy, plain=True)

    def _living(self) -> list[Subject]:
        return [one for one in self.subjects if not one.model.deleted]

    def _subject(self, at: int) -> Subject:
        living = self._living()
        return living[at % len(living)]

    # The owner and the clock

    @precondition(lambda self: len(self.subjects) < MOST_POLLS)
    @rule(data=st.data(), policy=st.sampled_from(POLICIES))
    def create(self, data: st.DataObject, policy: str) -> None:
        self._make(data, policy, plain=False)

    @rule(at=PLACES)
    def open(self, at: int) -> None:
        subject = self._subject(at)
        services.open_poll(subject.id)
        subject.model.open()

    @rule(at=PLACES)
    def pause(self, at: int) -> None:
        subject = self._subject(at)
        assert refusal_of(lambda: services.pause_poll(subject.id)) == subject.model.pause()

    @rule(at=PLACES)
    def close(self, at: int) -> None:
        subject = self._subject(at)
        services.close_poll(subject.id)
        subject.model.close()

    @rule(at=PLACES)
    def reset(self, at: int) -> None:
        subject = self._subject(at)
        services.reset_poll(subject.id)
        subject.model.reset()

    @precondition(lambda self: len(self._living()) > len(POLICIES))
    @rule(at=PLACES)
    def delete(self, at: int) -> None:
        subject = self._subject(at)
        services.delete_poll(subject.id)
        subject.model.deleted = True
        assert not Vote.objects.filter(poll_id=subject.id).exists()

    @rule(at=PLACES, number=st.integers(1, OPTIONS), word=st.integers(0, 3))
    def correct_an_option(self, at: int, number: int, word: int) -> None:
        subject = self._subject(at)
        texts = subject.model.texts | {number: f"option {number}, corrected {word}"}
        services.update_poll(subject.id, {}, list(texts.items()))
        subject.model.correct(texts)

    @rule(at=PLACES)
    def opening_time_comes(self, at: int) -> None:
        subject = self._subject(at)
        past = datetime.now(UTC) - timedelta(hours=1)
        Poll.objects.filter(id=subject.id, opens_at__isnull=False).update(opens_at=past)
        subject.model.opening_time_comes()

    @rule(at=PLACES)
    def closing_time_comes(self, at: int) -> None:
        subject = self._subject(at)
        self.opening_time_comes(at)
        past = datetime.now(UTC) - timedelta(minutes=1)
        Poll.objects.filter(id=subject.id, closes_at__isnull=False).update(closes_at=past)
        subject.model.closing_time_comes()

    @rule(at=PLACES, number=st.integers(1, VOTERS))
    def revoke_a_voter_code(self, at: int, number: int) -> None:
        subject = self._subject(at)
        if number <= len(subject.voter_codes):
            code = subject.voter_codes[number - 1]
            was_good = subject.model.codes[code]
            assert voter_codes.revoke_voter_codes(subject.id, [number]) == was_good
            subject.model.codes[code] = False

    # Voters

    @rule(data=st.data(), number=st.integers(1, 8))
    def vote(self, data: st.DataObject, number: int) -> None:
        """One batch: any voters, any polls, deleted ones too."""
        batch = [self._draw_cast(data) for _ in range(number)]
        self._record(batch)

    @rule(first=st.integers(10, 10_000))
    def newcomers(self, first: int) -> None:
        """People who have never voted, by the rules: what most batches hold."""
        subjects = [one for one in self._living() if one.model.status == Status.OPEN]
        subjects = [one for one in subjects if one.model.policy != "code"][: first % 3 + 1]
        for people in (range(first, first + 4, 2), range(first + 4, first + 10, 2)):
            self._record([
                (subject, subject.who(voter, voter), self._proper_body(subject), voter % 4 == 0)
                for voter in people for subject in subjects
            ])  # fmt: skip

    def _proper_body(self, subject: Subject) -> dict[str, Any]:
        choices = list(range(1, subject.model.at_least + 1))
        if self.kind == "rating":
            return {"ratings": {str(choice): 3 for choice in choices}}
        return {"choices": choices}

    @rule(data=st.data(), at=PLACES, voter=st.integers(0, VOTERS - 1))
    def one_voter_in_a_hurry(self, data: st.DataObject, at: int, voter: int) -> None:
        """Several votes of one voter to one poll in one batch."""
        subject = self._subject(at)
        bodies = data.draw(st.lists(st.one_of(ballots(self.kind), st.none()), min_size=2,
                                    max_size=4), "bodies")  # fmt: skip
        self._record([
            (subject, subject.who(voter, voter, data.draw(st.sampled_from(COMING))), body, False)
            for body in bodies
        ])  # fmt: skip

    @precondition(lambda self: self.cast)
    @rule(numbers=st.lists(st.integers(0, 10_000), min_size=1, max_size=6))
    def retry(self, numbers: list[int]) -> None:
        """Votes of earlier once more; their polls may be closed, reset or gone by now."""
        self._record([self.cast[number % len(self.cast)] for number in numbers])

    def _draw_cast(self, data: st.DataObject) -> CastRequest:
        subject = self.subjects[data.draw(PLACES) % len(self.subjects)]
        voter = data.draw(st.integers(0, VOTERS - 1), "voter")
        nonce = data.draw(st.integers(0, 20), "nonce")
        coming = data.draw(st.sampled_from(COMING), "coming")
        retracts = data.draw(st.integers(0, 4), "retracts if 0") == 0
        body = None if retracts else data.draw(ballots(self.kind), "body")
        who = subject.who(voter, nonce, coming)
        return subject, who, body, data.draw(st.booleans(), "by join code")

    def _record(self, batch: Sequence[CastRequest]) -> None:
        self.cast += batch
        versions = {id(one): one.model.version for one in self.subjects}
        self.published.clear()
        self.by_loop = not self.by_loop
        casts = [
            Cast(subject.code if by_code else subject.id, Identity(**who), body)  # type: ignore[arg-type]
            for subject, who, body, by_code in batch
        ]
        outcomes: Any = self.box.record(casts) if self.by_loop else store(casts)
        assert len(outcomes) == len(batch)
        in_order = sorted(range(len(batch)), key=places_of(batch, outcomes).__getitem__)
        answers = {number: batch[number][0].model.cast(*batch[number][1:3]) for number in in_order}
        for number, (subject, _, _, _) in enumerate(batch):
            compare_outcome(subject, outcomes[number], answers[number])
        changed = [one for one in self.subjects if one.model.version != versions[id(one)]]
        assert {state.id for state in self.published} == {one.id for one in changed}
        for subject in changed:
            published = [state for state in self.published if state.id == subject.id]
            for state in published:
                compare_earlier_state(subject, state)
            compare_state(subject, published[-1])

    # What must hold after every step

    @invariant()
    def everything_shown_is_what_the_model_says(self) -> None:
        if not self.subjects:
            return
        queries = [PollQuery(one.id, details=True, results=True) for one in self.subjects]
        for subject, reading in zip(self.subjects, read_polls(queries), strict=True):
            if subject.model.deleted:
                assert isinstance(reading, errors.PollNotFound)
                continue
            assert isinstance(reading, Reading), reading
            compare_state(subject, reading.state)
            assert reading.status == subject.model.status
            assert reading.details is not None
            assert dict(reading.details.options) == subject.model.texts
            assert reading.results is not None
            expected = subject.model.results(str(subject.id), subject.id.bytes)
            assert orjson.loads(reading.results) == expected

    @rule()
    def every_voter_finds_their_own_vote(self) -> None:
        living = self._living()
        asked = [(one, one.who(voter, voter, coming))
                 for one in living for voter in range(VOTERS) for coming in COMINGS]  # fmt: skip
        queries = [PollQuery(one.id, identity=Identity(**who)) for one, who in asked]  # type: ignore[arg-type]
        for (subject, who), reading in zip(asked, read_polls(queries), strict=True):
            assert isinstance(reading, Reading)
            voter = subject.model.voter(who)
            vote = reading.vote
            if isinstance(voter, str):  # a revoked code may still look at the vote it cast
                assert vote is None or voter == "invalid_voter_code"
                continue
            recorded = subject.model.vote_of(voter)
            if not subject.model.is_own(who, recorded):
                recorded = None
            assert (vote and vote.seq) == (recorded and recorded["seq"])
            assert (vote and vote.marks) == (recorded and recorded["marks"])

    @rule(at=PLACES)
    def recount(self, at: int) -> None:
        assert recount_poll(self._subject(at).id) == []

    def teardown(self) -> None:
        self.box.stop()
        events.tallies_changed.disconnect(self._hear)
        for subject in self._living():
            assert recount_poll(subject.id) == []
            compare_record(subject)
        keys = [key for one in self.subjects for key in one.voter_keys.values()]
        assert len(set(keys)) == len(keys), "two voters, or one in two polls, share a key"


def refusal_of(act: Callable[[], object]) -> str | None:
    try:
        act()
    except errors.PollError as error:
        return error.code
    return None


def compare_outcome(subject: Subject, outcome: Outcome, answer: Answer) -> None:
    decided = outcome.verdict, outcome.error and outcome.error.code
    assert outcome.verdict == answer.verdict, (decided, answer)
    if answer.refusals:
        assert outcome.error is not None
        assert outcome.error.code in answer.refusals
    else:
        assert outcome.error is None
    if answer.event is None:
        assert outcome.vote is None
    elif answer.event["marks"] is not None or answer.verdict == "retracted":
        vote = outcome.vote
        # A vote refused for the poll's state need not name the recorded one.
        if vote is None:
            assert answer.refusals & {"poll_closed", "poll_not_open"}
        else:
            assert (vote.seq, vote.marks) == (answer.event["seq"], answer.event["marks"])
            assert (vote.poll_id, vote.replaces) == (subject.id, answer.event["replaces"])
            key = subject.voter_keys.setdefault(answer.event["voter"], vote.voter)
            assert key == vote.voter
    if subject.model.deleted:
        assert outcome.state is None
    else:
        assert outcome.state is not None
        compare_earlier_state(subject, outcome.state)


def places_of(batch: Sequence[CastRequest], outcomes: Sequence[Outcome]) -> list[int]:
    """The order in which a batch's votes were decided, as far as that can be published: votes of
    different voters by their seqs, those of one voter as they were cast."""
    places = []
    last: dict[tuple[UUID, tuple[str, str] | str], int] = {}
    for (subject, who, _, _), outcome in zip(batch, outcomes, strict=True):
        voter = subject.id, subject.model.voter(who)
        if outcome.vote is not None and outcome.verdict not in ("repeated", "refused"):
            last[voter] = outcome.vote.seq
        places.append(last.get(voter, 0))
    return places


def compare_earlier_state(subject: Subject, state: PollState) -> None:
    """A state of this batch: what the lane leaves to the committer is committed a little later."""
    model = subject.model
    assert state.epoch == model.epoch
    assert state.version <= model.version
    tally = {"voters": state.voters, "votes": state.votes, "counts": state.counts}
    assert tally == model.tally(state.version)


def compare_state(subject: Subject, state: PollState) -> None:
    model = subject.model
    assert (state.epoch, state.version) == (model.epoch, model.version)
    tally = {"voters": state.voters, "votes": state.votes, "counts": state.counts}
    assert tally == model.tally()


def compare_record(subject: Subject) -> None:
    """Every vote event of every epoch, and the audit trail of corrections."""
    model = subject.model
    epochs = model.past | {model.epoch: model.events}
    last_cast: datetime | None = None
    for epoch, expected in epochs.items():
        votes = list(Vote.objects.filter(poll_id=subject.id, epoch=epoch).order_by("seq"))
        assert [vote.seq for vote in votes] == [event["seq"] for event in expected]
        last = {event["voter"]: event for event in expected}
        for vote, event in zip(votes, expected, strict=True):
            assert (vote.marks, vote.replaces) == (event["marks"], event["replaces"])
            assert vote.voter.hex == subject.voter_keys[event["voter"]]
            is_current = event["marks"] is not None and last[event["voter"]] is event
            assert vote.is_current == is_current
            assert last_cast is None or last_cast <= vote.cast_at
            last_cast = vote.cast_at
    poll = Poll.objects.get(id=subject.id)
    trail = poll.corrections.values_list("number", "old_text", "new_text", "version")
    assert list(trail) == model.corrections


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_screens")
@pytest.mark.parametrize("kind", KINDS)
def test_polls_live_as_the_model_says(kind: str) -> None:
    machine = type("PollsMachine", (PollsMachine,), {"kind": kind})
    run_state_machine_as_test(machine, settings=SETTINGS)
