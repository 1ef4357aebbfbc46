"""/readyz says 200 only while a vote could be stored."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection

from livepoll import health
from polls.database.outages import last_write
from tests.polls.people import Person, Site

pytestmark = pytest.mark.usefixtures("closed_before")


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def prober(site: Site) -> Person:
    return site.person()


@pytest.fixture
def closed_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The connection of readiness is new and asked each time, and is gone afterwards."""
    health.stop_asking()
    monkeypatch.setattr(health.checks, "max_age_seconds", 0.0)
    yield
    health.stop_asking()
    last_write.was_stored()


def readiness(prober: Person) -> tuple[int, str]:
    """Status, and what the database lacks."""
    response = prober.get("/readyz")
    return response.status_code, response.json()["database"].get("error", "")


@pytest.mark.parametrize("table", ["polls_vote", "polls_votercode", "polls_option"])
def test_without_a_table_it_is_not_ready(prober: Person, table: str) -> None:
    assert readiness(prober) == (200, "")
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
    try:
        assert readiness(prober)[0] == 503
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert readiness(prober) == (200, "")


def test_without_a_column_it_is_not_ready(prober: Person) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE polls_vote RENAME COLUMN replaces TO elsewhere")
    try:
        assert readiness(prober)[0] == 503
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE polls_vote RENAME COLUMN elsewhere TO replaces")


def test_with_a_migration_to_apply_it_is_not_ready(
    prober: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_has_been_migrated", False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET app = 'was polls' WHERE app = 'polls'")
    try:
        assert readiness(prober) == (503, "migrations")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET app = 'polls' WHERE app = 'was polls'")
    assert readiness(prober) == (200, "")


@pytest.mark.servers
def test_a_read_only_database_is_not_ready(prober: Person) -> None:
    def set_to(value: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database()")
            (name,) = cursor.fetchone()
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}')

    set_to("on")
    try:
        assert readiness(prober) == (503, "read-only")
    finally:
        set_to("off")


def test_after_votes_were_refused_it_is_not_ready(prober: Person) -> None:
    error = OperationalError("database or disk is full")
    last_write.was_refused(error)
    assert readiness(prober) == (503, "OperationalError")
    last_write.was_stored()
    assert readiness(prober) == (200, "")


@pytest.mark.servers
def test_its_connection_lasts_and_is_its_own(prober: Person) -> None:
    for _ in range(3):
        assert readiness(prober) == (200, "")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE 'SELECT (SELECT count(*) FROM (SELECT %%' AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone() == (1,)


def test_a_flood_asks_the_database_once_a_second(
    prober: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draining and refused votes show at once all the same."""
    asked = []
    check = health._check_what_a_vote_needs

    def ask() -> None:
        asked.append(1)
        check()

    monkeypatch.setattr(health, "_check_what_a_vote_needs", ask)
    monkeypatch.setattr(health.checks, "max_age_seconds", 1000.0)
    assert {readiness(prober) for _ in range(20)} == {(200, "")}
    assert len(asked) == 1
    last_write.was_refused(OperationalError("database or disk is full"))
    assert readiness(prober) == (503, "OperationalError")
