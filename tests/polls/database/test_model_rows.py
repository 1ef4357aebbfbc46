"""Rows of several models, stored all or none."""

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from polls.database.model_rows import insert_rows
from polls.models import Option, Poll

pytestmark = pytest.mark.django_db(transaction=True)


def poll_with_options(*numbers: int) -> list[Poll | Option]:
    poll = Poll(question="Red or green?")
    options = [Option(poll_id=poll.id, number=one, position=one, text=f"{one}") for one in numbers]
    return [poll, *options]


def test_a_poll_and_its_options_are_stored() -> None:
    insert_rows(poll_with_options(1, 2))

    assert [option.number for option in Poll.objects.get().options.all()] == [1, 2]


@pytest.mark.parametrize("rows", [poll_with_options(1, 1), poll_with_options(1)[1:]])
def test_where_one_row_is_refused_none_is_stored(rows: list[Poll | Option]) -> None:
    with pytest.raises(IntegrityError):
        insert_rows(rows)

    assert not Poll.objects.exists()
    assert not Option.objects.exists()


def test_a_poll_without_options_is_stored() -> None:
    insert_rows(poll_with_options())

    assert Poll.objects.count() == 1


@pytest.mark.servers
def test_postgresql_is_asked_once() -> None:
    connection.ensure_connection()
    with CaptureQueriesContext(connection) as queries:
        insert_rows(poll_with_options(1, 2))

    assert len(queries) == 1
