"""The committer's statements on Django's connection, the same on PostgreSQL and SQLite.

A statement takes all rows of a batch as one JSON parameter, so that its cost hardly grows with the
batch. Written in SQL where the ORM's cost a row would bound the whole server; to be called inside
a transaction that holds the polls' locks.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import connection

from polls.database.json_table import json_table
from polls.rules.poll import PollState
from polls.voting.vote import StoredVote, Voter

VENDOR = connection.vendor

# On PostgreSQL one look into the index a voter: before the planner has statistics of a table that
# grows by thousands of rows a second, any other join of a hundred voters may read it all.
_EARLIER = {
    "postgresql": """CROSS JOIN LATERAL (SELECT * FROM polls_vote WHERE is_current
        AND voter = given.voter AND epoch = given.epoch LIMIT 1) AS vote""",
    "sqlite": """CROSS JOIN polls_vote AS vote
        ON vote.is_current AND vote.voter = given.voter AND vote.epoch = given.epoch""",
}[VENDOR]
_CURRENT_VOTES = f"""SELECT given.place, vote.seq, vote.marks, vote.cast_at, vote.replaces,
        CAST(vote.caster AS text)
    FROM {json_table("given", voter="uuid", epoch="integer", place="integer")}
    {_EARLIER}"""  # noqa: S608
_SUPERSEDE = f"""UPDATE polls_vote SET is_current = false
    FROM {json_table("given", poll_id="uuid", epoch="integer", seq="bigint")}
    WHERE polls_vote.poll_id = given.poll_id AND polls_vote.epoch = given.epoch
        AND polls_vote.seq = given.seq"""  # noqa: S608
_VOTE_COLUMNS = {
    "poll_id": "uuid", "epoch": "integer", "seq": "bigint", "voter": "uuid", "marks": "jsonb",
    "is_current": "boolean", "replaces": "bigint", "caster": "uuid",
}  # fmt: skip
APPEND = f"""INSERT INTO polls_vote (cast_at, {", ".join(_VOTE_COLUMNS)})
    SELECT %s, {", ".join(_VOTE_COLUMNS)} FROM {json_table("given", **_VOTE_COLUMNS)}"""  # noqa: S608
_TOTALS = {
    "version": "bigint", "voters": "bigint", "votes": "bigint", "counts": "jsonb", "stars": "jsonb",
}  # fmt: skip
_SAVE = f"""UPDATE polls_poll SET {", ".join(f"{name} = given.{name}" for name in _TOTALS)}
    FROM {json_table("given", id="uuid", **_TOTALS)} WHERE polls_poll.id = given.id"""  # noqa: S608


def current_votes(voters: Sequence[Voter]) -> dict[str, StoredVote]:
    """The votes that count of those of these voters who have one, by voter key. One query."""
    if not voters:
        return {}
    voters = [*{voter.key: voter for voter in voters}.values()]
    given = [(one.key, one.epoch, place) for place, one in enumerate(voters)]
    with connection.cursor() as cursor:
        cursor.execute(_CURRENT_VOTES, [_json(given)])
        rows = cursor.fetchall()
    found = {}
    for place, seq, marks, cast_at, replaces, caster in rows:
        poll_id, epoch, key, _ = voters[place]
        found[key] = StoredVote(
            poll_id, epoch, seq, key, orjson.loads(marks),
            cast_at if cast_at.tzinfo else cast_at.replace(tzinfo=UTC),  # SQLite says no zone
            replaces=replaces, caster=caster and caster.replace("-", ""),
        )  # fmt: skip
    return found


Votes = Sequence[StoredVote]


def write(states: Sequence[PollState], appended: Votes, superseded: Votes, now: datetime) -> None:
    """Write these states' totals and versions, add votes that were cast `now`, and mark those that
    they supersede. One trip to PostgreSQL; a statement each where the driver takes but one."""
    given: list[tuple[str, list[Any], list[tuple[Any, ...]]]] = [
        (_SUPERSEDE, [], [(vote.poll_id.hex, vote.epoch, vote.seq) for vote in superseded]),
        (APPEND, [connection.ops.adapt_datetimefield_value(now)], [
            (poll_id.hex, epoch, seq, voter, marks, is_current, replaces, caster)
            for poll_id, epoch, seq, voter, marks, _, is_current, replaces, caster in appended
        ]),
        (_SAVE, [], [(one.id.hex, *(getattr(one, name) for name in _TOTALS)) for one in states]),
    ]  # fmt: skip
    statements = [(sql, [*before, _json(rows)]) for sql, before, rows in given if rows]
    if VENDOR == "postgresql" and statements:
        texts, parameters = zip(*statements, strict=True)
        statements = [(";\n".join(texts), [value for one in parameters for value in one])]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(*statement)


def _json(rows: Sequence[tuple[Any, ...]]) -> str:
    return orjson.dumps(rows).decode()
