"""What tests of several packages share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings as hypothesis_settings

from tests.sizes import sized

# A busy machine is no failing example.
hypothesis_settings.register_profile(
    "livepoll", deadline=None, max_examples=sized(short=30, long=200)
)
hypothesis_settings.load_profile("livepoll")


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """Passwords are hashed as ever, but not a million times over: half a second each."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    PBKDF2PasswordHasher.iterations = 1000


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The test database; the threads that hold connections to it end before it is dropped."""
    from livepoll.lifespan import stop_threads
    from polls.results.reader import reader
    from polls.voting.ballot_box import ballot_box

    yield
    stop_threads()
    ballot_box.stop()
    reader.stop()
