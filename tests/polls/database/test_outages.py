"""Which errors are an outage: real ones, as PostgreSQL and SQLite raise them."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from polls import errors
from polls.database.outages import LastWrite, is_outage, last_write
from polls.http.problems import as_poll_error
from polls.voting.committer import store

RAISES = "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{}'; END $$"
OUTAGES = {
    "read-only": "25006", "idle in a transaction": "25P03", "no such table": "42P01",
    "no such column": "42703", "disk full": "53100", "too many connections": "53300",
    "out of memory": "53200", "shutdown": "57P01", "crash": "57P02", "starting": "57P03",
    "serialization": "40001", "deadlock": "40P01", "no lock": "55P03", "I/O": "58030",
}  # fmt: skip
BUGS = {"syntax": "42601", "division": "22012", "aborted transaction": "25P02", "check": "23514"}


def error_of(sql: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        connection.cursor().execute(sql)
    return raised.value


@pytest.mark.servers
@pytest.mark.django_db
@pytest.mark.parametrize("code", OUTAGES.values(), ids=OUTAGES)
def test_a_state_of_postgresql_that_passes_is_an_outage(code: str) -> None:
    error = error_of(RAISES.format(code))
    assert is_outage(error)
    refusal = as_poll_error(error)
    assert isinstance(refusal, errors.Overloaded)
    assert refusal.retry_after


@pytest.mark.servers
@pytest.mark.django_db
@pytest.mark.parametrize("code", BUGS.values(), ids=BUGS)
def test_a_bug_of_ours_is_none(code: str) -> None:
    assert not is_outage(error_of(RAISES.format(code)))


@pytest.mark.parametrize(
    "break_it", ["SELECT * FROM nowhere", "CREATE TABLE t (x)"], ids=["table", "read-only"]
)
def test_a_state_of_sqlite_that_passes_is_an_outage(tmp_path: Path, break_it: str) -> None:
    path = tmp_path / "x.sqlite3"
    sqlite3.connect(path).close()
    path.touch()
    opened = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        with pytest.raises(sqlite3.OperationalError) as raised:
            opened.execute(break_it)
    finally:
        opened.close()
    wrapped = OperationalError(*raised.value.args)
    wrapped.__cause__ = raised.value
    assert is_outage(wrapped)


def test_what_it_was_raised_from_counts_too() -> None:
    outer = RuntimeError("a template could not be rendered")
    outer.__cause__ = OperationalError("gone")
    assert is_outage(outer)
    assert not is_outage(IntegrityError("twice"))
    assert not is_outage(None)


def test_a_refused_write_is_remembered_until_one_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("polls.database.outages.time.monotonic", lambda: now)
    last = LastWrite()
    assert last.refusal() is None
    last.was_refused(OperationalError("disk full"))
    assert last.refusal() == "OperationalError"
    last.was_stored()
    assert last.refusal() is None
    last.was_refused(OperationalError("disk full"))
    now += 6
    assert last.refusal() is None


@pytest.mark.django_db
def test_the_committer_says_how_its_last_write_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("polls.voting.committer.record_votes", fail)
        broken.setattr(connection, "close", lambda: None)
        (refused,) = store([None])  # type: ignore[list-item]
        assert isinstance(refused, errors.Overloaded)
        assert last_write.refusal() == "OperationalError"
    store([])
    assert last_write.refusal() is None
