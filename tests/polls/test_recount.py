"""A recount finds and mends what stands in the place of a tally, be it no tally at all."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from polls.models import Poll
from polls.recount import recount_poll
from polls.services import create_poll
from tests.polls.people import Person

pytestmark = pytest.mark.usefixtures("no_screens")


@pytest.mark.parametrize(
    "broken", [[], [1, 2], {}, {"1": 7}, {"x": 1}, "text", 5, None, True, {"1": "2", "2": None}]
)
def test_a_tally_that_is_none_is_found_and_mended(
    owner: Person, voter: Person, broken: Any
) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 2)
    stored = Poll.objects.filter(id=poll["id"])
    stored.update(counts=broken if broken is not None else {"null": None})
    with pytest.raises(SystemExit):
        call_command("recount", fix=True, stdout=StringIO())
    assert stored.get().counts == {"1": 0, "2": 1}
    assert recount_poll(stored.get().id) == []


@pytest.mark.django_db
def test_one_such_poll_does_not_keep_the_others_from_being_counted() -> None:
    tallies: list[Any] = [[], {"1": 5}]
    for counts in tallies:
        made, _ = create_poll(question="?", options=["A", "B"])
        Poll.objects.filter(id=made.id).update(counts=counts)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("recount", fix=True, stdout=out)
    assert "2 polls recounted, 2 with differences (fixed)" in out.getvalue()
