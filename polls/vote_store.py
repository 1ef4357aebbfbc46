"""The statements behind `recording`: few, wide, and the same on both databases.

Written in SQL where the ORM's cost a row would bound the whole server; each function is
one statement. Must be called inside a transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from psycopg2.extras import execute_values

from polls.domain import Marks, PollState
from polls.models import Poll, Vote, VoterCode
from polls.refs import PollRef, polls_named

_VOTE_COLUMNS = "poll_id, epoch, seq, voter, marks, cast_at, is_current, replaces"


class VoterIn(NamedTuple):
    """A voter of one epoch of one poll."""

    poll_id: UUID
    epoch: int
    voter: UUID


class StoredVote(NamedTuple):
    """A vote event as it is recorded."""

    poll_id: UUID
    epoch: int
    seq: int
    voter: UUID
    marks: Marks | None
    cast_at: datetime
    is_current: bool = True
    replaces: int | None = None


def lock_polls(refs: Collection[PollRef]) -> list[PollState]:
    """Lock the polls that exist, in id order, so that no two batches can deadlock."""
    rows = (
        Poll.objects.select_for_update()
        .filter(polls_named(refs))
        .order_by("id")
        .values_list(*PollState._fields)
    )
    return [PollState(*row) for row in rows]


def current_votes(voters: Collection[VoterIn]) -> list[StoredVote]:
    """The current votes of these voters, of those who have one.

    Asks by the voter key alone, which belongs to one poll: were the poll named as well,
    a planner whose statistics lag behind would walk all its votes by the primary key.
    """
    if not voters:
        return []
    keys = [one.voter for one in voters]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {_VOTE_COLUMNS} FROM polls_vote"  # noqa: S608 (no input in it)
                " WHERE is_current AND voter = ANY (%s::uuid[])",
                [[str(key) for key in keys]],
            )
            found = [
                StoredVote(*row)._replace(marks=orjson.loads(row[4])) for row in cursor.fetchall()
            ]
    else:
        rows = Vote.objects.filter(is_current=True, voter__in=keys)
        found = [StoredVote(*row) for row in rows.values_list(*StoredVote._fields)]
    wanted = set(voters)
    return [vote for vote in found if VoterIn(vote.poll_id, vote.epoch, vote.voter) in wanted]


def unusable_codes(voters: Collection[VoterIn]) -> set[VoterIn]:
    """Those of these voters of `code` polls whose code is unknown or revoked."""
    usable = VoterCode.objects.filter(
        poll_id__in={one.poll_id for one in voters},
        voter__in=[one.voter for one in voters],
        revoked_at__isnull=True,
    ).values_list("poll_id", "voter")
    known = set(usable) if voters else set()
    return {one for one in voters if (one.poll_id, one.voter) not in known}


def supersede_votes(votes: Collection[StoredVote]) -> None:
    """Mark these votes as no longer current; they stay in the record."""
    for vote in votes:
        Vote.objects.filter(poll_id=vote.poll_id, epoch=vote.epoch, seq=vote.seq).update(
            is_current=False
        )


def append_votes(votes: Sequence[StoredVote]) -> None:
    """Add vote events to the record, in one statement."""
    if not votes:
        return
    insert = f"INSERT INTO polls_vote ({_VOTE_COLUMNS}) VALUES "  # noqa: S608 (no input in it)
    rows = [_as_parameters(vote) for vote in votes]
    _execute_rows(f"{insert}%s", f"{insert}(%s, %s, %s, %s, %s, %s, %s, %s)", rows)


def _as_parameters(vote: StoredVote) -> tuple[Any, ...]:
    marks = None if vote.marks is None else orjson.dumps(vote.marks).decode()
    poll_id, voter = _uuid(vote.poll_id), _uuid(vote.voter)
    return (poll_id, vote.epoch, vote.seq, voter, marks, vote.cast_at, vote.is_current,
            vote.replaces)  # fmt: skip


def save_tallies(states: Iterable[PollState]) -> None:
    """Write each poll's totals and version."""
    rows = [
        (state.version, state.voters, state.votes, orjson.dumps(state.counts).decode(),
         None if state.stars is None else orjson.dumps(state.stars).decode(), _uuid(state.id))
        for state in states
    ]  # fmt: skip
    _execute_rows(
        "UPDATE polls_poll AS p SET version = t.version, voters = t.voters, votes = t.votes,"
        " counts = t.counts, stars = t.stars FROM (VALUES %s)"
        " AS t (version, voters, votes, counts, stars, id) WHERE p.id = t.id",
        "UPDATE polls_poll SET version = %s, voters = %s, votes = %s, counts = %s, stars = %s"
        " WHERE id = %s",
        rows,
        template="(%s::bigint, %s::bigint, %s::bigint, %s::jsonb, %s::jsonb, %s::uuid)",
    )


def _execute_rows(
    values_sql: str, row_sql: str, rows: list[tuple[Any, ...]], template: str | None = None
) -> None:
    """One wide statement on PostgreSQL; SQLite prepares the narrow one once."""
    if not rows:
        return
    with connection.wrap_database_errors, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            execute_values(cursor.cursor, values_sql, rows, template=template, page_size=len(rows))
        else:
            cursor.executemany(row_sql, rows)


def _uuid(value: UUID) -> str:
    return str(value) if connection.vendor == "postgresql" else value.hex
