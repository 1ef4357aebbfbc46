"""How many watch where: right after any loss, and for the price of what changes."""

from itertools import count
from random import Random
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import audience as audience_module
from realtime.audience import Audience
from tests.sizes import sized

POLL, OTHER_POLL = uuid4(), uuid4()


def beat(sender: Audience, *receivers: Audience, now: float = 0.0) -> list[dict[str, Any]]:
    """Publish, and let these processes have it."""
    sent = list(sender.next_messages())
    for message in sent:
        for receiver in receivers:
            receiver.take(message, now)
    return sent


def acquainted() -> tuple[Audience, Audience]:
    """Two processes that know each other, with one socket in the first."""
    first, second = Audience("first"), Audience("second")
    first.count_here(POLL, 1)
    for _ in range(2):
        beat(first, second)
        beat(second, first)
    return first, second


def test_a_beat_says_only_what_changed() -> None:
    first, second = acquainted()
    assert second.elsewhere(POLL) == 1
    assert [one["counts"] for one in beat(first, second)] == [{}]
    first.count_here(OTHER_POLL, 3)
    assert [one["counts"] for one in beat(first, second)] == [{OTHER_POLL.hex: 3}]
    assert (second.elsewhere(POLL), second.elsewhere(OTHER_POLL)) == (1, 3)
    first.count_here(POLL, 0)
    beat(first, second)
    assert second.elsewhere(POLL) == 0


def test_who_misses_a_message_asks_and_gets_all_with_the_next() -> None:
    first, second = acquainted()
    first.count_here(POLL, 5)
    beat(first)  # lost
    beat(first, second)
    assert second.elsewhere(POLL) == 1
    [asking] = beat(second, first)
    assert asking["asks"] == ["first"]
    [all_of_it] = beat(first, second)
    assert all_of_it["counts"] == {POLL.hex: 5}
    assert second.elsewhere(POLL) == 5
    [content] = beat(second, first)
    assert content["asks"] == []


def test_what_went_meanwhile_counts_no_more_once_all_counts_have_come() -> None:
    first, second = acquainted()
    first.count_here(POLL, 0)
    beat(first)  # lost
    beat(first, second)
    beat(second, first)
    beat(first, second)
    assert second.elsewhere(POLL) == 0


def test_a_new_process_is_sent_all_counts_without_asking() -> None:
    first, second = acquainted()
    newcomer = Audience("newcomer")
    beat(newcomer, first, second)
    beat(first, newcomer)
    assert newcomer.elsewhere(POLL) == 1
    [message] = beat(newcomer, first)
    assert message["asks"] == []


def test_a_silent_process_counts_no_more_and_again_when_it_is_back() -> None:
    first, second = acquainted()
    beat(first, second, now=10)
    second.forget_silent(9)
    assert second.elsewhere(POLL) == 1
    second.forget_silent(11)
    assert second.elsewhere(POLL) == 0
    for now in (20, 21):
        beat(first, second, now=now)
        beat(second, first, now=now)
    assert second.elsewhere(POLL) == 1


def test_all_counts_of_many_polls_go_in_bounded_messages(monkeypatch: Any) -> None:
    monkeypatch.setattr(audience_module, "_POLLS_A_MESSAGE", 10)
    first, second = Audience("first"), Audience("second")
    polls = [uuid4() for _ in range(25)]
    for poll in polls:
        first.count_here(poll, 1)
    sent = beat(first, second)
    assert [len(one["counts"]) for one in sent] == [10, 10, 5]
    assert [second.elsewhere(poll) for poll in polls] == [1] * 25
    [following] = beat(second, first)
    assert following["asks"] == []


def test_a_lost_part_of_all_counts_is_asked_for(monkeypatch: Any) -> None:
    monkeypatch.setattr(audience_module, "_POLLS_A_MESSAGE", 10)
    first, second = Audience("first"), Audience("second")
    for _ in range(25):
        first.count_here(uuid4(), 1)
    *others, last = first.next_messages()
    for message in others:
        second.take(message, 0)
    beat(first, second)
    [asking] = beat(second, first)
    assert asking["asks"] == ["first"]
    assert last["number"] == 3


@settings(max_examples=sized(short=15, long=2000), deadline=None)
@given(st.randoms(use_true_random=False))
def test_after_any_joins_leaves_losses_and_deaths_every_process_counts_the_truth(
    chance: Random,
) -> None:
    names = (f"process {number}" for number in count())
    polls = [UUID(int=number) for number in range(4)]
    living: dict[Audience, dict[UUID, int]] = {Audience(next(names)): {} for _ in range(3)}
    now = 0

    def everyone_publishes(loss: float) -> None:
        nonlocal now
        now += 1
        for sender in chance.sample(list(living), len(living)):
            for message in sender.next_messages():
                for receiver in living:
                    if chance.random() >= loss:
                        receiver.take(message, now)
        for one in living:
            one.forget_silent(now - 3)

    for _ in range(chance.randrange(30)):
        for one, truth in living.items():
            for poll in chance.sample(polls, chance.randrange(len(polls))):
                truth[poll] = chance.randrange(4)
                one.count_here(poll, truth[poll])
        if chance.random() < 0.1 and len(living) > 1:
            del living[chance.choice(list(living))]
        if chance.random() < 0.1:
            living[Audience(next(names))] = {}
        everyone_publishes(loss=chance.choice([0, 0, 0.2, 0.9]))
    for _ in range(5):  # the dead fall silent; a gap is found, asked about, and filled
        everyone_publishes(loss=0)
    for one in living:
        for poll in polls:
            elsewhere = sum(
                truth.get(poll, 0) for other, truth in living.items() if other is not one
            )
            assert one.elsewhere(poll) == elsewhere
    quiet = [message for one in living for message in one.next_messages()]
    assert all(one["counts"] == {} and one["asks"] == [] for one in quiet)
    assert len(quiet) == len(living)
