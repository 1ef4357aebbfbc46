"""The statements behind `recording`: few, wide, and the same on both databases.

Written in SQL where the ORM's cost a row would bound the whole server. What reads is a
generator that asks one statement; what writes returns statements. Whoever runs them does it
inside `vote_transaction`, or another transaction.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from polls.refs import PollRef
from polls.rules.ballot import Marks
from polls.rules.poll import PollState
from polls.voting.columns import (
    IN_LIST,
    VENDOR,
    as_json,
    hex_of,
    json_array,
    list_of,
    moment,
    plain_array,
    time_array,
    uuid_array,
    uuids,
    without_zone,
    written,
)
from polls.voting.state_rows import COLUMNS, lock_then_states, states_from, states_query
from polls.voting.statement import Asking, LastingSql, Statement

_VOTE_COLUMNS = "poll_id, epoch, seq, voter, marks, cast_at, is_current, replaces"
INSERT_VOTES = f"INSERT INTO polls_vote ({_VOTE_COLUMNS}) "
_CURRENT = f"SELECT {_VOTE_COLUMNS} FROM polls_vote WHERE is_current AND voter "  # noqa: S608
_USABLE = "SELECT poll_id, voter FROM polls_votercode WHERE revoked_at IS NULL AND poll_id "
_SUPERSEDE = (
    "UPDATE polls_vote SET is_current = false WHERE poll_id = %s AND epoch = %s AND seq = %s"
)
# One look into the index a voter: before the planner has statistics of a table that grows by
# thousands of rows a second, `= ANY` of a hundred voters read it all. Two, for a reader without
# the poll's lock may still want the epoch before.
_NEWEST_OF_EACH = f"""unnest(%s::uuid[]) AS key CROSS JOIN LATERAL (
    {_CURRENT} = key ORDER BY epoch DESC LIMIT 2) AS vote"""
# In the first row alone, or a thousand repeated votes would come once a poll.
_AS_WELL = COLUMNS + ", CASE WHEN row_number() OVER (ORDER BY id) = 1 THEN (SELECT {}) END"
# All votes at once: on PostgreSQL a column is one parameter, and a row costs a third of one in
# VALUES.
_POSTGRESQL = {
    "insert": LastingSql(f"""{INSERT_VOTES} SELECT * FROM unnest(
        %s::uuid[], %s::integer[], %s::bigint[], %s::uuid[], %s::jsonb[], %s::timestamptz[],
        %s::boolean[], %s::bigint[])"""),  # noqa: S608 (no input in it)
    "current": LastingSql(f"SELECT vote.* FROM {_NEWEST_OF_EACH}"),  # noqa: S608
    "current as well": _AS_WELL.format(
        f"jsonb_agg(jsonb_build_array({_VOTE_COLUMNS})) FROM {_NEWEST_OF_EACH}"
    ),
    "usable": LastingSql(f"{_USABLE} = ANY (%s::uuid[]) AND voter = ANY (%s::uuid[])"),
    "save": LastingSql("""UPDATE polls_poll AS poll SET version = t.version, voters = t.voters,
        votes = t.votes, counts = t.counts, stars = t.stars FROM unnest(%s::bigint[],
        %s::bigint[], %s::bigint[], %s::jsonb[], %s::jsonb[], %s::uuid[])
        AS t (version, voters, votes, counts, stars, id) WHERE poll.id = t.id"""),
}
_SQLITE = {
    "insert": f"{INSERT_VOTES} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
    "current": f"{_CURRENT} {IN_LIST}",
    "current as well": _AS_WELL.format(
        f"""json_group_array(json_array({_VOTE_COLUMNS.replace("marks", "json(marks)")}))
        FROM ({_CURRENT} {IN_LIST})"""
    ),
    "usable": f"{_USABLE} {IN_LIST} AND voter {IN_LIST}",
    "save": """UPDATE polls_poll SET version = %s, voters = %s, votes = %s, counts = %s, stars = %s
        WHERE id = %s""",
}
_SQL = _POSTGRESQL if VENDOR == "postgresql" else _SQLITE


class VoterIn(NamedTuple):
    """A voter of one epoch of one poll, by the voter key, 32 hexadecimal digits."""

    poll_id: UUID
    epoch: int
    voter: str


class StoredVote(NamedTuple):
    """A vote event as it is recorded."""

    poll_id: UUID
    epoch: int
    seq: int
    voter: str
    marks: Marks | None
    cast_at: datetime
    is_current: bool = True
    replaces: int | None = None


class Locked(NamedTuple):
    """Polls under lock, in id order; `votes` is None where no votes were looked up with them."""

    states: list[PollState]
    votes: list[StoredVote] | None


def lock_polls(refs: Collection[PollRef], voters: Collection[str] = ()) -> Asking[Locked]:
    """Lock the polls that exist, in id order, so that no two batches can deadlock.

    Args:
        voters: voter keys whose current votes are read once the locks are held, which saves
            a trip.
    """
    if not voters:
        return Locked(states_from((yield [states_query(refs, lock=True)])), None)
    *lock, (sql, parameters, _) = lock_then_states(refs, _SQL["current as well"])
    rows = yield [*lock, Statement(sql, [list_of(voters), *parameters])]
    found = rows[0][-1] if rows else None
    if isinstance(found, str):
        found = orjson.loads(found)
    return Locked(
        states_from([row[:-1] for row in rows]), [_vote_from(*vote) for vote in found or []]
    )


def _vote_from(
    poll_id: str, epoch: int, seq: int, voter: str, marks: Marks, cast_at: str | datetime,
    is_current: bool, replaces: int | None,
) -> StoredVote:  # fmt: skip
    return StoredVote(
        UUID(poll_id),
        epoch,
        seq,
        voter.replace("-", ""),
        marks,
        moment(cast_at),
        bool(is_current),
        replaces,
    )


def current_votes(voters: Collection[VoterIn]) -> Asking[list[StoredVote]]:
    """The current votes of these voters, of those who have one.

    Asks by the voter key alone, which belongs to one poll.
    """
    if not voters:
        return []
    keys = [list_of([one.voter for one in voters])]
    rows = yield [Statement(_SQL["current"], keys)]
    if VENDOR == "postgresql":
        found = [StoredVote(*row)._replace(voter=row[3].hex) for row in rows]
    else:
        found = [_vote_from(*row)._replace(marks=orjson.loads(row[4])) for row in rows]
    if not found:
        return []
    wanted = set(voters)
    return [vote for vote in found if VoterIn(vote.poll_id, vote.epoch, vote.voter) in wanted]


def unusable_codes(voters: Collection[VoterIn]) -> Asking[set[VoterIn]]:
    """Those of these voters of `code` polls whose code is unknown or revoked."""
    poll_ids = list_of(uuids({one.poll_id for one in voters}))
    keys = list_of([one.voter for one in voters])
    rows = yield [Statement(_SQL["usable"], [poll_ids, keys])]
    if VENDOR == "postgresql":
        usable = {(poll_id, voter.hex) for poll_id, voter in rows}
    else:
        usable = {(UUID(poll_id), voter) for poll_id, voter in rows}
    return {one for one in voters if (one.poll_id, one.voter) not in usable}


def supersede_votes(votes: Collection[StoredVote]) -> list[Statement]:
    """Mark these votes as no longer current; they stay in the record."""
    return [Statement(_SUPERSEDE, [vote.poll_id.hex, vote.epoch, vote.seq]) for vote in votes]


def append_votes(votes: Sequence[StoredVote]) -> list[Statement]:
    """Add vote events to the record, in one statement."""
    if not votes:
        return []
    poll_ids, epochs, seqs, voters, marks, moments, are_current, replaced = zip(*votes, strict=True)
    if VENDOR != "postgresql":
        rows = zip(
            written(poll_ids, hex_of), epochs, seqs, voters,
            written(marks, as_json), written(moments, without_zone), are_current, replaced,
            strict=True,
        )  # fmt: skip
        return [Statement(_SQL["insert"], [*rows], is_many=True)]
    columns = [
        uuid_array(poll_ids), plain_array(epochs), plain_array(seqs), plain_array(voters),
        json_array(marks), time_array(moments), plain_array(are_current), plain_array(replaced),
    ]  # fmt: skip
    return [Statement(_SQL["insert"], columns)]


def save_tallies(states: Sequence[PollState]) -> list[Statement]:
    """Write each poll's totals and version; on PostgreSQL in one statement."""
    if not states:
        return []
    if VENDOR != "postgresql":
        rows = [
            (state.version, state.voters, state.votes, as_json(state.counts),
             state.stars and as_json(state.stars), state.id.hex)
            for state in states
        ]  # fmt: skip
        return [Statement(_SQL["save"], rows, is_many=True)]
    columns = [
        plain_array([state.version for state in states]),
        plain_array([state.voters for state in states]),
        plain_array([state.votes for state in states]),
        json_array([state.counts for state in states]),
        json_array([state.stars for state in states]),
        uuid_array([state.id for state in states]),
    ]
    return [Statement(_SQL["save"], columns)]
