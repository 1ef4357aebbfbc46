"""Weak secrets do not start, and what holds secrets is readable by the server alone."""

import os
import secrets
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from livepoll.private_files import make_private, make_private_folder, make_private_sqlite
from livepoll.secret_key import embedded_secret_key, weakness_of
from tests.e2e.harness import INHERITED, ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("x", "1 characters"),
        ("x" * 50, "1 different"),
        ("ab" * 30, "2 different"),
        ("correct-horse-7", "15 characters"),
        ("django-insecure-q8v2Lw0sZr4TnXb7Hk1Pm5Yd9Gc3Jf6A", "example"),
        ("CHANGE-ME-q8v2Lw0sZr4TnXb7Hk1Pm5Yd9Gc3Jf6A", "example"),
        ("your-secret-key-here-0123456789-abcdef", "example"),
    ],
)
def test_a_secret_that_was_typed_or_copied_is_weak(key: str, reason: str) -> None:
    assert reason in (weakness_of(key) or "")


@pytest.mark.parametrize("bits", [128, 192, 384])
def test_a_random_secret_is_not_weak(bits: int) -> None:
    for _ in range(200):
        assert weakness_of(secrets.token_hex(bits // 8)) is None


def start(**env: str) -> subprocess.CompletedProcess[str]:
    """Read the settings as a server does."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "diffsettings", "--output=unified"],
        cwd=ROOT, env=inherited | env, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [("DEBUG", "maybe"), ("DRAIN_SECONDS", "-3")])
def test_a_setting_that_means_nothing_stops_the_start(name: str, value: str) -> None:
    refused = start(**{name: value})
    assert refused.returncode != 0
    assert f"{name} must be" in refused.stderr


def test_a_server_with_a_weak_secret_does_not_start_and_says_the_cure(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'site.sqlite3'}"
    refused = start(SECRET_KEY="x", DATABASE_URL=database)
    assert refused.returncode != 0
    assert "token_urlsafe" in refused.stderr
    assert "SECRET_KEY_FALLBACKS" in refused.stderr
    # The cure itself: the weak one only makes old tokens and voters known.
    strong = secrets.token_urlsafe(48)
    cured = start(SECRET_KEY=strong, SECRET_KEY_FALLBACKS="x", DATABASE_URL=database)
    assert cured.returncode == 0, cured.stderr
    assert mode(tmp_path / "site.sqlite3") == 0o600


def test_the_kept_secret_and_its_folder_are_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret_key"
    key = embedded_secret_key(path)
    assert weakness_of(key) is None
    assert (mode(path.parent), mode(path)) == (0o700, 0o600)
    path.chmod(0o644)  # as an earlier version, or a restore, may have left it
    assert embedded_secret_key(path) == key
    assert mode(path) == 0o600


def test_the_files_of_sqlite_are_private_from_the_first_byte_on(tmp_path: Path) -> None:
    database = tmp_path / "livepoll.sqlite3"
    make_private_sqlite(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE votes (id)")
        files = {path.name: mode(path) for path in tmp_path.iterdir()}
        assert files == {f"livepoll.sqlite3{end}": 0o600 for end in ("", "-wal", "-shm")}
        for path in tmp_path.iterdir():
            path.chmod(0o664)
        make_private_sqlite(database)
        assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


def test_what_is_not_there_or_not_ours_stops_nothing(tmp_path: Path) -> None:
    make_private(tmp_path / "nothing")
    make_private_sqlite(tmp_path / "no" / "folder.sqlite3")
    (tmp_path / "shared").mkdir(mode=0o755)
    make_private_folder(tmp_path / "shared")
    assert mode(tmp_path / "shared") == 0o755
    assert not (tmp_path / "no").exists()
