"""How PostgreSQL finds earlier votes in a table that grew faster than its statistics."""

from uuid import uuid4

import pytest
from django.db import connection

from polls import services
from polls.voting import loop_postgresql, vote_store
from polls.voting.statement import Statement
from polls.voting.vote_store import VoterIn

pytestmark = [pytest.mark.servers, pytest.mark.django_db]

STORED = 20_000
VOTERS = 300
FILL = """
    INSERT INTO polls_vote (poll_id, epoch, seq, voter, marks, cast_at, is_current)
    SELECT %s, 1, number, gen_random_uuid(), '[1]', now(), true
    FROM generate_series(1, %s) AS number
"""


def reading_statements() -> list[Statement]:
    """The two that look for the votes of many voters, on a poll with many votes."""
    poll, _ = services.create_poll(question="?", options=["a", "b"])
    with connection.cursor() as cursor:
        cursor.execute(FILL, [poll.id, STORED])
    voters = [VoterIn(poll.id, 1, uuid4().hex) for _ in range(VOTERS)]
    _, with_the_lock = next(vote_store.lock_polls({poll.id}, {one.voter for one in voters}))
    (alone,) = next(vote_store.current_votes(voters))
    return [with_the_lock, alone]


def test_a_plan_made_while_the_table_was_small_goes_by_the_index_as_well() -> None:
    """As `loop_postgresql` prepares it, for a connection that outlives statistics."""
    poll, _ = services.create_poll(question="?", options=["a", "b"])
    voters = [VoterIn(poll.id, 1, uuid4().hex) for _ in range(VOTERS)]
    (asked,) = next(vote_store.current_votes(voters))
    with connection.cursor() as cursor:
        cursor.execute(FILL, [poll.id, 60])
        cursor.execute("ANALYZE polls_vote")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"PREPARE asked AS {loop_postgresql._numbered(asked.sql)}")
        for _ in range(7):  # from the sixth on the plan may be one for all parameters
            cursor.execute("EXECUTE asked (%s)", asked.parameters)
        cursor.execute("EXPLAIN EXECUTE asked (%s)", asked.parameters)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("DEALLOCATE asked")
    assert "vote_one_a_voter" in plan, plan


def test_each_voter_is_one_look_into_the_index() -> None:
    for statement in reading_statements():
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {statement.sql}", statement.parameters)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "vote_one_a_voter" in plan, plan
        assert "Seq Scan on polls_vote" not in plan, plan
