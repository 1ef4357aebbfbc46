"""A process that runs statements on a SQLite database for another's event loop.

Started by `loop_sqlite` as a script; knows nothing of livepoll and nothing of Django. A message
either way is its length and JSON. Asked [[sql, parameters, is_many], …], it runs these one after
the other and answers [error, rows, done]: the rows of the last that selects, and the last. It
ends when the other end is gone, however that went, and with it whatever was not committed.
"""

import gc
import select
import signal
import socket
import sqlite3
import sys
from contextlib import suppress
from typing import Any

import orjson

LENGTH_BYTES = 4


def serve(line: socket.socket, connection: sqlite3.Connection, idle_seconds: float) -> None:
    """Answer until nobody asks any more, or for too long nobody ends a transaction."""
    with line.makefile("rb") as questions:
        while True:
            if connection.in_transaction and not select.select([line], [], [], idle_seconds)[0]:
                return
            if len(head := questions.read(LENGTH_BYTES)) < LENGTH_BYTES:
                return
            answer = orjson.dumps(_answer(connection, questions.read(int.from_bytes(head))))
            line.sendall(len(answer).to_bytes(LENGTH_BYTES) + answer)


def _answer(connection: sqlite3.Connection, asked: bytes) -> tuple[str | None, list[Any], str]:
    rows: list[Any] = []
    sql = ""
    try:
        for sql, parameters, is_many in orjson.loads(asked):
            if is_many:
                connection.executemany(sql, parameters)
            else:
                cursor = connection.execute(sql, parameters)
                if cursor.description is not None:
                    rows = cursor.fetchall()
    except Exception as error:  # whatever it was, who asked must know
        connection.rollback()
        return f"{type(error).__name__}: {error}", [], ""
    return None, rows, sql


def main() -> None:
    path, init_command, lock_seconds, idle_seconds = sys.argv[1:]
    # Who stops the server stops it, and so this; a vote under way is answered first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # nothing here holds itself
    try:
        connection = sqlite3.connect(
            path, timeout=float(lock_seconds), isolation_level=None, uri=True
        )
        connection.executescript(f"PRAGMA foreign_keys = ON; {init_command}")
    except sqlite3.Error as error:
        sys.exit(f"{path}: {error}")
    with socket.socket(fileno=0) as line, suppress(ConnectionError):
        serve(line, connection, float(idle_seconds))
    connection.close()  # which undoes what was not committed


if __name__ == "__main__":
    main()
