"""The statements behind `recording`: few, wide, and the same on both databases.

Written in SQL where the ORM's cost a row would bound the whole server. What reads is a
generator that asks one statement; what writes returns statements. Whoever runs them does it
inside `vote_transaction`, or another transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from polls.domain import Marks, PollState
from polls.refs import PollRef
from polls.state_rows import COLUMNS, VENDOR, states_from, states_query, stored_uuids
from polls.statement import Asking, LastingSql, Statement

_VOTE_COLUMNS = "poll_id, epoch, seq, voter, marks, cast_at, is_current, replaces"
_INSERT = f"INSERT INTO polls_vote ({_VOTE_COLUMNS}) "
_CURRENT = f"SELECT {_VOTE_COLUMNS} FROM polls_vote WHERE is_current AND voter "  # noqa: S608
# One look into the index a voter: before the planner has statistics of a table that grows by
# thousands of rows a second, `= ANY` of a hundred voters read it all. Two, for a reader without
# the poll's lock may still want the epoch before.
_NEWEST_OF_EACH = f"""unnest(%s::uuid[]) AS key CROSS JOIN LATERAL (
    {_CURRENT} = key ORDER BY epoch DESC LIMIT 2) AS vote"""
_USABLE = "SELECT poll_id, voter FROM polls_votercode WHERE revoked_at IS NULL AND poll_id "
_SUPERSEDE = (
    "UPDATE polls_vote SET is_current = false WHERE poll_id = %s AND epoch = %s AND seq = %s"
)
# All votes at once: on PostgreSQL a column is one parameter, and a row costs a third of one in
# VALUES; as one parameter, SQLite's driver lets go of the interpreter's lock once, not a row.
_POSTGRESQL = {
    "insert": LastingSql(f"""{_INSERT} SELECT * FROM unnest(
        %s::uuid[], %s::integer[], %s::bigint[], %s::uuid[], %s::jsonb[], %s::timestamptz[],
        %s::boolean[], %s::bigint[])"""),  # noqa: S608 (no input in it)
    "current": LastingSql(f"SELECT vote.* FROM {_NEWEST_OF_EACH}"),  # noqa: S608 (no input in it)
    # In the first row alone, or a thousand repeated votes would come once a poll.
    "current as well": f"""{COLUMNS}, CASE WHEN row_number() OVER (ORDER BY id) = 1 THEN (
        SELECT jsonb_agg(jsonb_build_array({_VOTE_COLUMNS})) FROM {_NEWEST_OF_EACH}) END""",  # noqa: S608
    "usable": LastingSql(f"{_USABLE} = ANY (%s::uuid[]) AND voter = ANY (%s::uuid[])"),
    "save": LastingSql("""UPDATE polls_poll AS poll SET version = t.version, voters = t.voters,
        votes = t.votes, counts = t.counts, stars = t.stars FROM unnest(%s::bigint[],
        %s::bigint[], %s::bigint[], %s::jsonb[], %s::jsonb[], %s::uuid[])
        AS t (version, voters, votes, counts, stars, id) WHERE poll.id = t.id"""),
}
_SQLITE = {
    "insert": f"""{_INSERT} SELECT {
        ", ".join(f"json_extract(value, '$[{place}]')" for place in range(8))
    } FROM json_each(%s)""",  # noqa: S608 (no input in it)
    "current": f"{_CURRENT} IN (SELECT value FROM json_each(%s))",  # noqa: S608
    "usable": f"""{_USABLE} IN (SELECT value FROM json_each(%s))
        AND voter IN (SELECT value FROM json_each(%s))""",  # noqa: S608 (no input in it)
    "save": """UPDATE polls_poll SET version = %s, voters = %s, votes = %s, counts = %s, stars = %s
        WHERE id = %s""",
}


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


class Locked(NamedTuple):
    """Polls under lock, in id order; `votes` is None where no votes were looked up with them."""

    states: list[PollState]
    votes: list[StoredVote] | None


def lock_polls(refs: Collection[PollRef], voters: Collection[UUID] = ()) -> Asking[Locked]:
    """Lock the polls that exist, in id order, so that no two batches can deadlock.

    Args:
        voters: voter keys whose current votes are read once the locks are held: on
            PostgreSQL, where that saves a trip.
    """
    if not voters or VENDOR != "postgresql":
        return Locked(states_from((yield [states_query(refs, lock=True)])), None)
    lock = states_query(refs, lock=True, columns="1")
    # A statement of its own, which sees what was committed while the lock was waited for.
    sql, parameters = states_query(refs, columns=_POSTGRESQL["current as well"])
    rows = yield [lock, Statement(sql, [_array(voters), *parameters])]
    found = rows[0][-1] if rows else None
    return Locked(
        states_from([row[:-1] for row in rows]),
        [_from_json(*vote) for vote in orjson.loads(found)] if found else [],
    )


def _from_json(
    poll_id: str, epoch: int, seq: int, voter: str, marks: Marks, cast_at: str,
    is_current: bool, replaces: int | None,
) -> StoredVote:  # fmt: skip
    return StoredVote(
        UUID(poll_id), epoch, seq, UUID(voter), marks,
        datetime.fromisoformat(cast_at), is_current, replaces,
    )  # fmt: skip


def current_votes(voters: Collection[VoterIn]) -> Asking[list[StoredVote]]:
    """The current votes of these voters, of those who have one.

    Asks by the voter key alone, which belongs to one poll.
    """
    if not voters:
        return []
    keys = [_array(one.voter for one in voters)]
    if VENDOR == "postgresql":
        rows = yield [Statement(_POSTGRESQL["current"], keys)]
        found = [StoredVote(*row)._replace(marks=orjson.loads(row[4])) for row in rows]
    else:
        rows = yield [Statement(_SQLITE["current"], keys)]
        found = [_from_sqlite(*row) for row in rows]
    if not found:
        return []
    wanted = set(voters)
    return [vote for vote in found if VoterIn(vote.poll_id, vote.epoch, vote.voter) in wanted]


def unusable_codes(voters: Collection[VoterIn]) -> Asking[set[VoterIn]]:
    """Those of these voters of `code` polls whose code is unknown or revoked."""
    parameters = [_array({one.poll_id for one in voters}), _array(one.voter for one in voters)]
    if VENDOR == "postgresql":
        usable = set((yield [Statement(_POSTGRESQL["usable"], parameters)]))
    else:
        rows = yield [Statement(_SQLITE["usable"], parameters)]
        usable = {(UUID(poll_id), UUID(voter)) for poll_id, voter in rows}
    return {one for one in voters if (one.poll_id, one.voter) not in usable}


def _array(values: Iterable[UUID]) -> str:
    """These UUIDs as one parameter."""
    stored = stored_uuids(values)
    return _plain(stored) if VENDOR == "postgresql" else orjson.dumps(stored).decode()


def supersede_votes(votes: Collection[StoredVote]) -> list[Statement]:
    """Mark these votes as no longer current; they stay in the record."""
    poll_ids = stored_uuids(vote.poll_id for vote in votes)
    return [
        Statement(_SUPERSEDE, [poll_id, vote.epoch, vote.seq])
        for vote, poll_id in zip(votes, poll_ids, strict=True)
    ]


def append_votes(votes: Sequence[StoredVote]) -> list[Statement]:
    """Add vote events to the record, in one statement."""
    if not votes:
        return []
    if VENDOR != "postgresql":
        rows = orjson.dumps([_for_sqlite(vote) for vote in votes])
        return [Statement(_SQLITE["insert"], [rows.decode()])]
    poll_ids, epochs, seqs, voters, marks, moments, are_current, replaced = zip(*votes, strict=True)
    columns = [
        _plain(stored_uuids(poll_ids)), _plain(epochs), _plain(seqs),
        _plain(stored_uuids(voters)), _as_json(marks), _quoted(map(str, moments)),
        _plain(are_current), _plain(replaced),
    ]  # fmt: skip
    return [Statement(_POSTGRESQL["insert"], columns)]


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


def save_tallies(states: Sequence[PollState]) -> list[Statement]:
    """Write each poll's totals and version; on PostgreSQL in one statement."""
    if not states:
        return []
    ids = stored_uuids(state.id for state in states)
    if VENDOR != "postgresql":
        return [
            Statement(_SQLITE["save"], (
                state.version, state.voters, state.votes, orjson.dumps(state.counts).decode(),
                None if state.stars is None else orjson.dumps(state.stars).decode(), poll_id,
            ))
            for state, poll_id in zip(states, ids, strict=True)
        ]  # fmt: skip
    columns = [
        _plain([state.version for state in states]), _plain([state.voters for state in states]),
        _plain([state.votes for state in states]), _as_json([state.counts for state in states]),
        _as_json([state.stars for state in states]), _plain(ids),
    ]  # fmt: skip
    return [Statement(_POSTGRESQL["save"], columns)]


# Columns as PostgreSQL writes arrays


def _plain(values: Iterable[object]) -> str:
    """Of what needs no quotes."""
    return f"{{{','.join(['NULL' if one is None else str(one) for one in values])}}}"


def _as_json(values: Iterable[object]) -> str:
    return _quoted([None if one is None else orjson.dumps(one).decode() for one in values])


def _quoted(texts: Iterable[str | None]) -> str:
    elements = [
        "NULL" if text is None
        else f'"{text}"' if '"' not in text
        else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for text in texts
    ]  # fmt: skip
    return f"{{{','.join(elements)}}}"
