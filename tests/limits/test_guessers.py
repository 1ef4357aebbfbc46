"""Wrong passwords make an address a guesser, with rates on or off; right ones make good."""

from typing import Any

from livepoll.attempts import CountedAttempts, MissLimits
from livepoll.counters import Counters
from polls.errors import InvalidCredentials, InvalidVoterCode, PollError
from polls.http.request import RawRequest
from polls.rules.credentials import Credential


def attempts_of(limits: MissLimits, address: str) -> CountedAttempts:
    return CountedAttempts(limits, RawRequest({"path": "/", "headers": [], "client": (address, 1)}))


async def test_wrong_passwords_and_names_that_are_taken_make_a_guesser(settings: Any) -> None:
    for is_on in (True, False):
        settings.RATE_LIMITS = is_on
        limits = MissLimits(Counters(""))
        guesser = attempts_of(limits, "192.0.2.1")
        tried = (Credential.PASSWORD, Credential.ACCOUNT_NAME)
        for number in range(10):
            assert not guesser.is_guessing()
            error: PollError = InvalidCredentials(missed=tried[number % 2])
            await guesser.count(error, account="vera")
        assert guesser.is_guessing()
        assert not attempts_of(limits, "192.0.2.2").is_guessing()
        guesser.signed_in()
        assert not guesser.is_guessing()


async def test_what_costs_no_hash_makes_none() -> None:
    guesser = attempts_of(MissLimits(Counters("")), "192.0.2.1")
    for _ in range(20):
        await guesser.count(InvalidVoterCode(), poll="AAAAAA")
    assert not guesser.is_guessing()
