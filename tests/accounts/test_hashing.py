"""Who guesses has passwords hashed where no vote waits for it."""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password
from django.utils.crypto import pbkdf2

from accounts.hashing import PatientHasher
from livepoll.guessers import Guessers
from polls.http.attempts import Attempts, current_attempts

pytestmark = pytest.mark.above_databases


class Guessing(Attempts):
    def is_guessing(self) -> bool:
        return True


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the threads that hash."""
    seen: list[int] = []
    hashed: Callable[..., bytes] = pbkdf2

    def noted(*args: Any, **kwargs: Any) -> bytes:
        seen.append(os.sched_getscheduler(0))
        return hashed(*args, **kwargs)

    monkeypatch.setattr(hashers, "pbkdf2", noted)
    return seen


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no policy each")
def test_who_guesses_takes_what_is_left_of_the_core(policies: list[int]) -> None:
    plain = PatientHasher().encode("right", "salt", 1)
    before = current_attempts.set(Guessing())
    try:
        assert PatientHasher().encode("right", "salt", 1) == plain
    finally:
        current_attempts.reset(before)
    assert policies == [os.SCHED_OTHER, os.SCHED_IDLE]


def test_what_is_stored_is_djangos_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1)
    assert make_password("right", "salt") == PBKDF2PasswordHasher().encode("right", "salt")
    assert check_password("right", PBKDF2PasswordHasher().encode("right", "salt"))


def test_an_address_that_misses_without_end_is_a_guesser_and_no_other() -> None:
    guessers = Guessers()
    for _ in range(9):
        guessers.miss("a")
    assert not guessers.knows("a")
    guessers.miss("a")
    assert guessers.knows("a")
    assert not guessers.knows("b")


def test_who_has_several_under_way_is_a_guesser_while_they_are() -> None:
    guessers = Guessers()
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(guessers.trying("a"))
        assert not guessers.knows("a")
        with guessers.trying("a"):
            assert guessers.knows("a")
            assert not guessers.knows("b")
        assert not guessers.knows("a")


def test_a_crowd_that_mistypes_and_signs_in_is_none() -> None:
    guessers = Guessers()
    for _ in range(1_000):
        guessers.miss("hall")
        guessers.miss("hall")
        guessers.succeed("hall")
    assert not guessers.knows("hall")
    assert len(guessers) == 0


def test_guessers_are_forgotten_and_their_number_is_bounded() -> None:
    now = 0.0
    guessers = Guessers(clock=lambda: now)
    for _ in range(1_000):
        guessers.miss("a")
    now = 601.0
    assert not guessers.knows("a")
    for number in range(20_000):
        guessers.miss(str(number))
    assert len(guessers) <= 10_000
