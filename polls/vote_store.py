"""The statements behind `recording`: few, wide, and the same on both databases.

Written in SQL where the ORM's cost a row would bound the whole server; each function is
one statement. Must be called inside `vote_transaction`, or another transaction.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from polls.domain import Marks, PollState
from polls.models import Vote, VoterCode
from polls.refs import PollRef
from polls.state_rows import states_from, states_query, stored_uuids
from polls.vote_transaction import query, tell

_VOTE_COLUMNS = "poll_id, epoch, seq, voter, marks, cast_at, is_current, replaces"
_INSERT = f"INSERT INTO polls_vote ({_VOTE_COLUMNS}) "
_CURRENT = f"SELECT {_VOTE_COLUMNS} FROM polls_vote WHERE is_current AND voter "  # noqa: S608
# All votes as one parameter, which C writes and reads: on PostgreSQL a row costs a third of
# one in VALUES, and SQLite's driver lets go of the interpreter's lock once, not for each row.
_POSTGRESQL = {
    "insert": f"""{_INSERT} SELECT * FROM json_to_recordset(%s) AS t (
        poll_id uuid, epoch integer, seq bigint, voter uuid, marks jsonb, cast_at timestamptz,
        is_current boolean, replaces bigint)""",  # noqa: S608 (no input in it)
    "current": f"{_CURRENT} = ANY (%s::uuid[])",
}
_SQLITE = {
    "insert": f"""{_INSERT} SELECT {
        ", ".join(f"json_extract(value, '$[{place}]')" for place in range(8))
    } FROM json_each(%s)""",  # noqa: S608 (no input in it)
    "current": f"{_CURRENT} IN (SELECT value FROM json_each(%s))",  # noqa: S608
}
_SAVE_ROW = (
    "UPDATE polls_poll SET version = %s, voters = %s, votes = %s, counts = %s, stars = %s"
    " WHERE id = %s"
)
_SAVE_ROWS = """UPDATE polls_poll AS p SET version = t.version, voters = t.voters,
    votes = t.votes, counts = t.counts, stars = t.stars
    FROM (VALUES {rows}) AS t (version, voters, votes, counts, stars, id) WHERE p.id = t.id"""
_SAVED = "(%s::bigint, %s::bigint, %s::bigint, %s::jsonb, %s::jsonb, %s::uuid)"


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
    return states_from(query(*states_query(refs, lock=True)))


def current_votes(voters: Collection[VoterIn]) -> list[StoredVote]:
    """The current votes of these voters, of those who have one.

    Asks by the voter key alone, which belongs to one poll: were the poll named as well,
    a planner whose statistics lag behind would walk all its votes by the primary key.
    """
    if not voters:
        return []
    keys = stored_uuids(one.voter for one in voters)
    if connection.vendor == "postgresql":
        rows = query(_POSTGRESQL["current"], [f"{{{','.join(keys)}}}"])
        found = [StoredVote(*row)._replace(marks=orjson.loads(row[4])) for row in rows]
    else:
        rows = query(_SQLITE["current"], [orjson.dumps(keys).decode()])
        found = [_from_sqlite(*row) for row in rows]
    if not found:
        return []
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
    if connection.vendor == "postgresql":
        rows = orjson.dumps([vote._asdict() for vote in votes])
        tell(_POSTGRESQL["insert"], [rows.decode()])
    else:
        rows = orjson.dumps([_for_sqlite(vote) for vote in votes])
        tell(_SQLITE["insert"], [rows.decode()])


def _for_sqlite(vote: StoredVote) -> tuple[Any, ...]:
    """The columns as SQLite keeps them."""
    marks = None if vote.marks is None else orjson.dumps(vote.marks).decode()
    return (vote.poll_id.hex, vote.epoch, vote.seq, vote.voter.hex, marks,
            str(vote.cast_at.replace(tzinfo=None)), vote.is_current, vote.replaces)  # fmt: skip


def _from_sqlite(
    poll_id: str, epoch: int, seq: int, voter: str, marks: str, cast_at: datetime,
    is_current: bool, replaces: int | None,
) -> StoredVote:  # fmt: skip
    return StoredVote(
        UUID(poll_id), epoch, seq, UUID(voter), orjson.loads(marks),
        cast_at.replace(tzinfo=UTC), is_current, replaces,
    )  # fmt: skip


def save_tallies(states: Sequence[PollState]) -> None:
    """Write each poll's totals and version, in one statement."""
    rows = [
        (state.version, state.voters, state.votes, orjson.dumps(state.counts).decode(),
         None if state.stars is None else orjson.dumps(state.stars).decode(), poll_id)
        for state, poll_id in zip(states, stored_uuids(state.id for state in states), strict=True)
    ]  # fmt: skip
    if not rows:
        return
    if connection.vendor == "postgresql":
        sql = _SAVE_ROWS.format(rows=", ".join([_SAVED] * len(rows)))
        tell(sql, [value for values in rows for value in values])
        return
    with connection.cursor() as cursor:
        cursor.executemany(_SAVE_ROW, rows)
