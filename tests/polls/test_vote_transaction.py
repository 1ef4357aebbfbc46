"""All of a block or nothing of it, whichever way the statements travel."""

from contextlib import suppress

import pytest
from django.db import DatabaseError, DataError, IntegrityError, connection

from polls import services
from polls.models import Poll
from polls.voting import vote_transaction as vote_transaction_module
from polls.voting.vote_transaction import query, tell, vote_transaction

pytestmark = pytest.mark.django_db(transaction=True)
RENAME = "UPDATE polls_poll SET question = %s"
QUESTION = "SELECT question FROM polls_poll"


@pytest.fixture(autouse=True)
def poll() -> Poll:
    return services.create_poll(question="100 %?", options=["Red", "Green"])[0]


def question(poll: Poll) -> str:
    poll.refresh_from_db()
    return poll.question


def test_what_was_told_is_stored_at_the_end(poll: Poll) -> None:
    with vote_transaction():
        assert query(QUESTION) == [("100 %?",)]
        tell(RENAME, ["50 %?"])
    assert question(poll) == "50 %?"
    assert not connection.in_atomic_block


def test_a_block_without_a_query_is_stored_too(poll: Poll) -> None:
    with vote_transaction():
        tell(RENAME, ["told"])
    assert question(poll) == "told"


def test_an_exception_undoes_what_was_told_and_what_was_run(poll: Poll) -> None:
    def fail_late() -> None:
        with vote_transaction():
            query(QUESTION)
            Poll.objects.update(question="run")
            tell(RENAME, ["told"])
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail_late()
    assert question(poll) == "100 %?"
    with vote_transaction():  # and the connection is fit for the next
        tell(RENAME, ["next"])
    assert question(poll) == "next"


def test_a_statement_that_fails_undoes_the_others(poll: Poll) -> None:
    def break_a_rule() -> None:
        with vote_transaction():
            query(QUESTION)
            tell(RENAME, ["told"])
            tell("UPDATE polls_poll SET kind = %s", [None])

    with pytest.raises(IntegrityError):
        break_a_rule()
    assert question(poll) == "100 %?"
    assert query(QUESTION) == [("100 %?",)]


def test_without_a_block_a_statement_is_stored_at_once(poll: Poll) -> None:
    tell(RENAME, ["at once"])
    assert question(poll) == "at once"


@pytest.mark.servers
def test_what_answers_nothing_travels_with_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    trips: list[str] = []
    take = vote_transaction_module._take_unsent

    def note() -> str:
        trips.append(take())
        return trips[-1]

    monkeypatch.setattr(vote_transaction_module, "_take_unsent", note)
    with vote_transaction():
        query(QUESTION)
        tell(RENAME, ["one"])
        tell(RENAME, ["two"])
    assert [trip.split("; ")[0] for trip in trips] == ["BEGIN", RENAME.replace("%s", "'one'")]
    assert trips[1].endswith("; COMMIT")


@pytest.mark.servers
def test_a_failure_that_nobody_noticed_is_no_commit(poll: Poll) -> None:
    def hide_a_failure() -> None:
        with vote_transaction():
            query(QUESTION)
            with suppress(DataError):
                query("SELECT 1 / 0")
            tell(RENAME, ["told"])

    with pytest.raises(DatabaseError):
        hide_a_failure()
    assert question(poll) == "100 %?"
