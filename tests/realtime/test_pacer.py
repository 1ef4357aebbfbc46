"""Leading edge, then a steady beat, and the last one always."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from realtime.pacer import Pacer
from tests.realtime.fake_clock import run_on_fake_clock

INTERVAL = 0.1
# The loop runs a timer that is due within its clock's resolution.
SLACK = 1e-6


def beats(
    nudges: list[float], *, interval: float = INTERVAL, start_after: float = 0.0
) -> list[tuple[float, int]]:
    """When the pacer let something through, and how many nudges had come by then."""

    async def play() -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        sent: list[tuple[float, int]] = []
        come = 0
        pacer = Pacer(
            interval,
            lambda: sent.append((loop.time(), come)),
            start_after_seconds=start_after,
        )
        for at in sorted(nudges):
            await asyncio.sleep(at - loop.time())
            come += 1
            pacer.nudge()
        await asyncio.sleep(3 * interval)
        pacer.stop()
        return sent

    return run_on_fake_clock(play())


def test_the_first_after_a_quiet_spell_goes_at_once() -> None:
    assert beats([1.0, 5.0]) == [(1.0, 1), (5.0, 2)]


def test_what_comes_within_the_interval_goes_together_at_its_end() -> None:
    [first, second] = beats([1.0, 1.01, 1.02, 1.09])
    assert first == (1.0, 1)
    assert second[1] == 4
    assert abs(second[0] - 1.1) < SLACK


def test_after_a_beat_that_was_due_the_next_one_waits_again() -> None:
    times = [round(at, 3) for at, _ in beats([1.0, 1.05, 1.12])]
    assert times == [1.0, 1.1, 1.2]


@given(st.lists(st.floats(0, 2), min_size=1, max_size=40))
def test_never_two_within_an_interval_and_none_is_forgotten(nudges: list[float]) -> None:
    sent = beats(nudges)
    times = [at for at, _ in sent]
    assert all(later - earlier >= INTERVAL - SLACK for earlier, later in pairwise(times))
    assert sent[-1][1] == len(nudges)
    for number, at in enumerate(sorted(nudges), start=1):
        went = next(when for when, come in sent if come >= number)
        assert went - at <= INTERVAL + SLACK
        is_quiet = not any(at - INTERVAL - SLACK <= earlier < at for earlier in times)
        if is_quiet and sorted(nudges).index(at) == number - 1:
            assert went - at <= SLACK


def test_a_stopped_pacer_sends_nothing_more() -> None:
    async def play() -> int:
        sent: list[None] = []
        pacer = Pacer(INTERVAL, lambda: sent.append(None))
        pacer.nudge()
        pacer.nudge()
        pacer.stop()
        await asyncio.sleep(1)
        return len(sent)

    assert run_on_fake_clock(play()) == 1


def test_it_rests_when_an_interval_passes_with_nothing_new() -> None:
    async def play() -> list[float]:
        loop = asyncio.get_running_loop()
        rests: list[float] = []
        pacer = Pacer(INTERVAL, lambda: None, on_rest=lambda: rests.append(round(loop.time(), 3)))
        pacer.nudge()
        pacer.nudge()
        await asyncio.sleep(1)
        return rests

    assert run_on_fake_clock(play()) == [0.2]


def test_one_that_starts_later_keeps_the_interval_and_the_last() -> None:
    sent = beats([1.0, 1.01, 1.05, 1.2, 5.0], start_after=0.03)
    assert [(round(at, 3), come) for at, come in sent] == [
        (1.03, 2),
        (1.13, 3),
        (1.23, 4),
        (5.03, 5),
    ]
