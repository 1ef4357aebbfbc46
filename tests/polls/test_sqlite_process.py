"""The process that writes to SQLite: answers, outlives signals, ends with whoever asks."""

import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from polls.voting import sqlite_process
from polls.voting.sqlite_process import LENGTH_BYTES

INIT = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
CREATE = """
    CREATE TABLE poll (id INTEGER PRIMARY KEY);
    CREATE TABLE vote (poll INTEGER REFERENCES poll (id), voter TEXT UNIQUE);
    INSERT INTO poll VALUES (1);
"""


class Asker:
    """Who started the process."""

    def __init__(self, path: Path, idle_seconds: float = 20) -> None:
        self.path = path
        self.line, theirs = socket.socketpair()
        self.line.settimeout(20)
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    sqlite_process.__file__,
                    str(path),
                    INIT,
                    "5",
                    str(idle_seconds),
                ],
                stdin=theirs.fileno(),
            )

    def ask(self, message: bytes) -> tuple[str | None, list[Any], str]:
        self.line.sendall(len(message).to_bytes(LENGTH_BYTES) + message)
        length = int.from_bytes(self._read(LENGTH_BYTES))
        error, rows, done = orjson.loads(self._read(length))
        return error, rows, done

    def _read(self, length: int) -> bytes:
        return self.line.recv(length, socket.MSG_WAITALL)

    def stored(self) -> list[str]:
        with sqlite3.connect(self.path, timeout=5) as database:
            found = [voter for (voter,) in database.execute("SELECT voter FROM vote ORDER BY 1")]
        database.close()
        return found

    def end(self) -> int:
        self.line.close()
        return self.process.wait(20)


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    path = tmp_path / "polls.sqlite3"
    database = sqlite3.connect(path)
    database.executescript(CREATE)
    database.close()
    asker = Asker(path)
    yield asker
    asker.end()


def run(*statements: Any) -> bytes:
    return orjson.dumps([(*one, False) if len(one) == 2 else one for one in statements])


VOTE = "INSERT INTO vote VALUES (?, ?)"


def test_it_answers_the_rows_of_the_last_statement_and_what_that_was(asker: Asker) -> None:
    rows = [(1, "a"), (1, "b")]
    asked = run(
        ("BEGIN IMMEDIATE", []), (VOTE, rows, True), ("SELECT voter FROM vote WHERE poll = ?", [1])
    )
    assert asker.ask(asked) == (
        None, [["a"], ["b"]], "SELECT voter FROM vote WHERE poll = ?"
    )  # fmt: skip
    assert asker.stored() == []
    assert asker.ask(run(("COMMIT", []))) == (None, [], "COMMIT")
    assert asker.stored() == ["a", "b"]


def test_it_keeps_to_the_rules_of_every_other_connection(asker: Asker) -> None:
    for pragma, value in (("foreign_keys", 1), ("journal_mode", "wal"), ("synchronous", 2)):
        assert asker.ask(run((f"PRAGMA {pragma}", [])))[:2] == (None, [[value]])
    error, _, _ = asker.ask(run((VOTE, [2, "a"])))
    assert error == "IntegrityError: FOREIGN KEY constraint failed"


def test_after_an_error_nothing_is_stored_and_nobody_is_kept_waiting(asker: Asker) -> None:
    broken = run(("BEGIN IMMEDIATE", []), (VOTE, [(1, "a"), (1, "a")], True), ("COMMIT", []))
    error, rows, done = asker.ask(broken)
    assert error == "IntegrityError: UNIQUE constraint failed: vote.voter"
    assert (rows, done) == ([], "")
    with sqlite3.connect(asker.path, timeout=0) as other:
        other.execute(VOTE, (1, "b"))
    other.close()
    assert asker.stored() == ["b"]
    assert asker.ask(b"no JSON")[0]
    assert asker.ask(run(("SELECT 1", [])))[:2] == (None, [[1]])


def test_what_ends_the_server_does_not_end_it_first(asker: Asker) -> None:
    asker.ask(run(("BEGIN IMMEDIATE", []), (VOTE, [1, "a"])))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asker.process.send_signal(number)
    assert asker.ask(run(("COMMIT", [])))[0] is None
    assert asker.stored() == ["a"]
    assert asker.end() == 0


def test_a_server_that_hangs_in_a_transaction_does_not_keep_the_lock(asker: Asker) -> None:
    hanging = Asker(asker.path, idle_seconds=0.2)
    hanging.ask(run(("BEGIN IMMEDIATE", []), (VOTE, [1, "a"])))
    assert hanging.process.wait(20) == 0
    assert asker.ask(run((VOTE, [1, "b"])))[0] is None
    assert asker.stored() == ["b"]
    hanging.end()


@pytest.mark.parametrize("last_words", [b"", b"\x00\x00", b"\x00\x00\x00\x09[["])
def test_it_ends_with_whoever_asks_and_undoes_what_was_not_committed(
    asker: Asker, last_words: bytes
) -> None:
    asker.ask(run(("BEGIN IMMEDIATE", []), (VOTE, [1, "a"])))
    asker.line.sendall(last_words)
    assert asker.end() == 0
    assert asker.stored() == []
