"""How PostgreSQL finds votes and polls: by their keys, with any statistics."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from polls import services
from polls.identity.voters import Identity
from polls.models import Poll
from polls.refs import PollRef
from polls.rules.poll import PollState
from polls.selectors import get_states
from polls.voting import sql
from polls.voting.first_votes import ADD_FIRST_VOTES, FirstVotes
from polls.voting.vote import Cast, StoredVote, Voter

pytestmark = [pytest.mark.servers, pytest.mark.django_db]

STORED = 20_000
VOTERS = 300
FILL = """
    INSERT INTO polls_vote (poll_id, epoch, seq, voter, marks, cast_at, is_current)
    SELECT %s, 1, number, gen_random_uuid(), '[1]', now(), true
    FROM generate_series(1, %s) AS number
"""


FORGET_STATISTICS = """
    DELETE FROM pg_statistic WHERE starelid = 'polls_vote'::regclass;
    UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'polls_vote'::regclass
"""


def make_poll() -> Poll:
    return services.create_poll(question="?", options=["a", "b"])[0]


def plans_of(work: Any) -> list[str]:
    """The plans of all that `work` executes."""
    found: list[str] = []

    def explain(execute: Any, statement: str, parameters: Any, many: bool, context: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.cursor.execute(f"EXPLAIN {statement}", parameters)
            found.append("\n".join(row[0] for row in cursor.cursor.fetchall()))
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(explain):
        work()
    return found


def test_each_voter_is_one_look_into_the_index_of_a_table_without_statistics() -> None:
    poll = make_poll()
    with connection.cursor() as cursor:
        cursor.execute(FILL, [poll.id, STORED])
    voters = [Voter(poll.id, 1, uuid4().hex) for _ in range(VOTERS)]
    (plan,) = plans_of(lambda: sql.current_votes(voters))
    assert "vote_one_a_voter" in plan, plan
    assert "Seq Scan on polls_vote" not in plan, plan


def test_superseded_votes_are_found_by_their_primary_key() -> None:
    """In a table without statistics; those of other tests, taken of a few rows, are none of it."""
    poll = make_poll()
    with connection.cursor() as cursor:
        cursor.execute(FORGET_STATISTICS)
        cursor.execute(FILL, [poll.id, STORED])
    now = datetime.now(UTC)
    votes = [StoredVote(poll.id, 1, seq, uuid4().hex, [1], now) for seq in range(1, VOTERS)]
    (plan,) = plans_of(lambda: sql.write([], [], votes, now))
    assert "polls_vote_pkey" in plan, plan
    assert "Seq Scan on polls_vote" not in plan, plan


def plan_of_first_votes(states: list[PollState]) -> list[dict[str, Any]]:
    """The nodes of a plan that lasts, made for a batch over these polls."""
    known: dict[PollRef, PollState] = {state.id: state for state in states}
    batch = [Cast(ref, Identity("a", "", "a"), {"choices": [1]}) for ref in known]
    voters, epochs, marks, *rest = FirstVotes(batch, known, datetime.now(UTC)).arguments()
    now, ids, poll_epochs, revisions, starts, added, counted, counts = rest
    arguments = [
        voters, epochs, sql._json(marks), now, [str(one) for one in ids], poll_epochs, revisions,
        starts, added, counted, [sql._json(one) for one in counts],
    ]  # fmt: skip
    casts = ("uuid[]", "int[]", "jsonb", "timestamptz", "uuid[]", "int[]", "int[]", "bigint[]",
             "bigint[]", "bigint[]", "jsonb[]")  # fmt: skip
    places = ", ".join(f"%s::{kind}" for kind in casts)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE polls_poll")
        for way in ("seqscan", "hashjoin", "mergejoin"):  # as on a connection of a loop's own
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE asked AS {ADD_FIRST_VOTES}")
        cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE asked ({places})", arguments)
        ((found,),) = cursor.fetchall()
        cursor.execute("DEALLOCATE asked")
    return list(nodes_of(found[0]["Plan"]))


def test_first_votes_lock_polls_in_id_order_and_find_everything_by_keys() -> None:
    """Two processes whose batches share polls must not deadlock, with any plan."""
    nodes = plan_of_first_votes(get_states([make_poll().id for _ in range(30)]))
    loop = next(one for one in nodes if one["Node Type"] == "Nested Loop" and finds_polls(one))
    outer, inner = loop["Plans"]
    assert (outer["Node Type"], outer["Alias"]) == ("Function Scan", "t")
    assert inner["Index Name"] == "polls_poll_pkey"
    assert {one["Index Name"] for one in nodes if "Index Name" in one} == {
        "polls_poll_pkey",
        "vote_one_a_voter",
    }


def test_the_polls_of_a_batch_of_first_votes_are_in_the_order_of_their_ids() -> None:
    states = get_states([make_poll().id for _ in range(30)])
    known: dict[PollRef, PollState] = {state.code: state for state in states}
    batch = [Cast(ref, Identity("a", "", "a"), {"choices": [1]}) for ref in reversed(known)]
    ids = FirstVotes(batch, known, datetime.now(UTC)).arguments()[4]
    assert ids == sorted(ids)
    assert len(ids) == 30


def nodes_of(plan: dict[str, Any]) -> Any:
    yield plan
    for one in plan.get("Plans", []):
        yield from nodes_of(one)


def finds_polls(node: dict[str, Any]) -> bool:
    return any(one.get("Relation Name") == "polls_poll" for one in node.get("Plans", []))
