"""Files for this server's own user: SQLite's and the kept secret, mode 0600."""

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# SQLite gives its further files the mode of the database.
SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


def make_private_folder(folder: Path) -> None:
    """Make a folder, 0700. One that is there keeps its mode: it may hold what others need."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def make_private(file: Path) -> None:
    """Take away what group and others may do. A file of another user is left as it is."""
    with suppress(PermissionError, FileNotFoundError):
        if mode := readable_by_others(file):
            file.chmod(mode & ~_OTHERS)


def make_private_sqlite(database: Path) -> None:
    """Have a SQLite database in private files, made before SQLite would make it with 0644.

    Where its folder is missing or not ours, nothing is done: SQLite has the better message.
    """
    if database.name == ":memory:":
        return
    with suppress(OSError):
        database.touch(mode=0o600)
    for file in sqlite_files(database):
        make_private(file)


def sqlite_files(database: Path) -> Iterator[Path]:
    """The files of a SQLite database that are there."""
    for suffix in SQLITE_SUFFIXES:
        file = database.with_name(database.name + suffix)
        if file.is_file():
            yield file


def readable_by_others(file: Path) -> int:
    """The mode of a file that group or others may use in any way; 0 where they may not."""
    mode = stat.S_IMODE(file.stat().st_mode)
    return mode if mode & _OTHERS else 0
