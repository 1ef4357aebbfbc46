"""What tests of several packages share."""

import ssl
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from hypothesis import settings as hypothesis_settings

from polls.database.outages import last_write
from tests.sizes import sized

# With it jsonschema also checks the format `iri`, which no schema here has, and its grammars take
# 3 s to import: of every worker.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # what an import then finds missing

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


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Every httpx client loads all certificates of the world: 40 ms, and no test speaks TLS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


# Migrating fills these, once; Django empties and fills them again after each test that commits.
_KEPT = {"auth_permission", "django_content_type", "django_migrations"}


_MANY_ROWS = 500


@cache
def _tables() -> list[str]:
    introspection = connection.introspection
    return sorted({*introspection.django_table_names(only_existing=True)} - _KEPT)


def _delete_rows(_case: TransactionTestCase) -> None:
    # Foreign keys are looked at when the transaction ends, so the order is of no matter.
    with transaction.atomic(), connection.cursor() as cursor:
        for table in _tables():
            name = connection.ops.quote_name(table)
            cursor.execute(f"DELETE FROM {name}")  # noqa: S608
            if cursor.rowcount > _MANY_ROWS and connection.vendor == "postgresql":
                # What was deleted stays in the file, and without statistics scans go through it.
                cursor.execute(f"TRUNCATE {name} CASCADE")


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """A test that commits leaves no row, in 5 ms: TRUNCATE and permissions anew take 70."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", _delete_rows)
        yield


@pytest.fixture(autouse=True)
def no_refused_write() -> None:
    """What a test before had the database refuse leaves this process not ready for 5 s."""
    last_write.was_stored()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The test database; the threads that hold connections to it end before it is dropped."""
    from livepoll.lifespan import stop_threads
    from livepoll.private_files import make_private_sqlite
    from polls.results.reader import reader
    from polls.voting.ballot_box import ballot_box

    if connection.vendor == "sqlite":
        make_private_sqlite(Path(connection.settings_dict["NAME"]))  # as the settings do
    yield
    stop_threads()
    ballot_box.stop()
    reader.stop()
