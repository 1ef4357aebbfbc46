"""First votes of several polls as one transaction in one trip, for `first_votes`.

It locks each poll that is still the presumed one, adds to its totals, whatever they are by then,
and gives the votes the seqs that follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate

import orjson

from polls.rules.ballot import Marks
from polls.rules.poll import PollState
from polls.rules.tally import Tally
from polls.voting.columns import (
    VENDOR,
    as_json,
    json_array,
    plain_array,
    uuid_array,
    without_zone,
    written,
)
from polls.voting.statement import LastingSql, Rows, Statement
from polls.voting.vote_store import INSERT_VOTES


@dataclass(slots=True)
class Addition:
    """First votes of one poll, if its epoch and revision are still the presumed ones.

    `tally` is of these votes alone; `place` is the poll's among those of its batch, from 0.
    """

    presumed: PollState
    tally: Tally
    voters: list[str] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)
    place: int = 0


# place, version, voters, votes and counts of a poll with its addition
Added = tuple[int, int, int, int, dict[str, int]]


def add_first_votes(additions: Sequence[Addition], cast_at: datetime) -> list[Statement]:
    """The transaction; what it selects is for `added_from`.

    A poll that is no longer the presumed one is left out, with its votes. Where one of the voters
    has voted before, PostgreSQL leaves out all; an IntegrityError says so on SQLite, and on
    PostgreSQL where it happens in this very moment.

    Args:
        additions: by place, in the order of their ids, so that no two batches can deadlock.
    """
    return (_for_postgresql if VENDOR == "postgresql" else _for_sqlite)(additions, cast_at)


def added_from(rows: Rows) -> Sequence[Added]:
    """The polls that were the presumed ones; votes of no other were recorded."""
    if VENDOR == "postgresql":
        return rows
    return [(*totals, orjson.loads(counts)) for *totals, counts in rows]


# A poll's votes follow each other in the arrays, so nothing has to be joined with them.
_ADD = LastingSql(f"""WITH given AS (
        SELECT %s::uuid[] AS voters, %s::integer[] AS epochs, %s::jsonb[] AS marks,
            %s::timestamptz AS cast_at
    ), saved AS (
        UPDATE polls_poll AS poll SET version = version + t.added, voters = poll.voters + t.added,
            votes = poll.votes + t.marks, counts = (
                SELECT jsonb_object_agg(key, value::bigint + coalesce((t.counts -> key)::bigint, 0))
                FROM jsonb_each(poll.counts))
        FROM unnest(%s::uuid[], %s::integer[], %s::integer[], %s::bigint[], %s::bigint[],
            %s::bigint[], %s::jsonb[]) WITH ORDINALITY
            AS t (id, epoch, revision, start, added, marks, counts, place)
        WHERE poll.id = t.id AND poll.epoch = t.epoch AND poll.revision = t.revision
            AND NOT EXISTS (SELECT FROM given, unnest(voters, epochs) AS one (voter, epoch)
                CROSS JOIN LATERAL (SELECT FROM polls_vote WHERE is_current
                    AND voter = one.voter AND epoch = one.epoch LIMIT 1) AS earlier)
        RETURNING place - 1 AS place, poll.id, poll.epoch, version, poll.voters, poll.votes,
            poll.counts, start, added
    ), stored AS (
        {INSERT_VOTES} SELECT id, epoch, version - added + nth, given.voters[start + nth],
            given.marks[start + nth], cast_at, true, NULL
        FROM given, saved CROSS JOIN LATERAL generate_series(1, added) AS nth
    ) SELECT place, version, voters, votes, counts FROM saved""")  # noqa: S608


def _for_postgresql(additions: Sequence[Addition], cast_at: datetime) -> list[Statement]:
    polls = [one.presumed for one in additions]
    added = [one.tally.voters for one in additions]
    votes_of_each = [
        plain_array([voter for one in additions for voter in one.voters]),
        plain_array([one.presumed.epoch for one in additions for _ in one.voters]),
        json_array([marks for one in additions for marks in one.marks]),
        str(cast_at),
    ]
    columns = [
        uuid_array([poll.id for poll in polls]),
        plain_array([poll.epoch for poll in polls]),
        plain_array([poll.revision for poll in polls]),
        plain_array([0, *accumulate(added[:-1])]),
        plain_array(added),
        plain_array([one.tally.votes for one in additions]),
        json_array([one.tally.counts for one in additions]),
    ]
    return [Statement(_ADD, [*votes_of_each, *columns])]


_PRESUMED = "id = %s AND epoch = %s AND revision = %s"
_ADD_VOTES = f"""{INSERT_VOTES} SELECT id, epoch, version + %s, %s, %s, %s, true, NULL
    FROM polls_poll WHERE {_PRESUMED}"""  # noqa: S608
_ADD_TOTALS = f"""UPDATE polls_poll SET version = version + %s, voters = voters + %s,
    votes = votes + %s, counts = (
        SELECT json_group_object(one.key, one.value + coalesce(added.value, 0))
        FROM json_each(counts) AS one LEFT JOIN json_each(%s) AS added USING (key))
    WHERE {_PRESUMED}"""  # noqa: S608
_ADDED = """SELECT presumed.key, version, voters, votes, counts
    FROM json_each(%s) AS presumed JOIN polls_poll AS poll
    ON poll.id = presumed.value ->> 0 AND epoch = presumed.value ->> 1
        AND revision = presumed.value ->> 2"""


def _for_sqlite(additions: Sequence[Addition], cast_at: datetime) -> list[Statement]:
    polls = [one.presumed for one in additions]
    presumed = [(poll.id.hex, poll.epoch, poll.revision) for poll in polls]
    at = without_zone(cast_at)
    votes = [
        (nth, voter, marks, at, *poll)
        for one, poll in zip(additions, presumed, strict=True)
        for nth, (voter, marks) in enumerate(
            zip(one.voters, written(one.marks, as_json), strict=True), start=1
        )
    ]
    totals = [
        (one.tally.voters, one.tally.voters, one.tally.votes, as_json(one.tally.counts), *poll)
        for one, poll in zip(additions, presumed, strict=True)
    ]
    return [
        Statement("BEGIN IMMEDIATE"),
        Statement(_ADD_VOTES, votes, is_many=True),
        Statement(_ADD_TOTALS, totals, is_many=True),
        Statement(_ADDED, [as_json(presumed)]),
        Statement("COMMIT"),
    ]
