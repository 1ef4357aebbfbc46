"""States as they are read without the ORM equal what the ORM reads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls import services
from polls.models import Poll
from polls.selectors import get_states, state_of

pytestmark = pytest.mark.django_db


def make_poll(**fields: Any) -> Poll:
    return services.create_poll(question="?", options=["Red", "Green"], **fields)[0]


def test_every_field_is_what_the_orm_reads() -> None:
    now = datetime.now(UTC)
    polls = [
        make_poll(),
        make_poll(kind="rating", voter_policy="ip", vote_change=True, min_voters=3),
        make_poll(opens_at=now + timedelta(hours=1), closes_at=now + timedelta(hours=2, seconds=1)),
        make_poll(results_visibility="owner"),
    ]
    services.pause_poll(polls[0].id)
    by_orm = {poll.id: state_of(poll) for poll in Poll.objects.all()}
    found = get_states([polls[0].id, polls[1].code, polls[2].id, polls[3].code])
    assert {state.id: state for state in found} == by_orm
    for state in found:
        known = by_orm[state.id]
        assert [type(value) for value in state] == [type(value) for value in known]


def test_nobody_asked_for_is_nobody_found() -> None:
    make_poll()
    assert get_states([]) == []
