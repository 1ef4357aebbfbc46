"""GET …/timeline/: when the votes came, in few points, to who may see the results."""

from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls import selectors
from polls.services import create_poll
from tests.polls.people import Json, Person, Site, refusal


def read(person: Person, poll: Json, headers: dict[str, str] | None = None) -> Json:
    response = person.get(f"/api/v1/polls/{poll['id']}/timeline/", headers)
    assert response.status_code == 200, response.text
    timeline: Json = response.json()
    return timeline


def test_a_poll_without_votes_has_no_points(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll()
    assert read(outsider, poll) == {"poll": poll["id"], "epoch": 1, "points": []}


def test_few_votes_are_all_there_with_their_times(owner: Person, site: Site) -> None:
    poll = owner.make_poll()
    votes = [site.person().vote(poll, 1).json()["vote"] for _ in range(3)]
    assert read(owner, poll)["points"] == [
        {"at": vote["cast_at"], "version": vote["seq"]} for vote in votes
    ]


def test_a_change_is_a_vote_event_too(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll(vote_change=True)
    outsider.vote(poll, 1)
    outsider.vote(poll, 2)
    outsider.delete(f"/api/v1/polls/{poll['id']}/votes/me/")
    assert [point["version"] for point in read(owner, poll)["points"]] == [1, 2, 3]


def test_many_votes_are_sampled_evenly_from_the_first_to_the_last(
    owner: Person, outsider: Person
) -> None:
    poll = owner.make_poll(voter_policy="open")
    for _ in range(200):
        assert outsider.vote(poll, 1).status_code == 201
    versions = [point["version"] for point in read(outsider, poll)["points"]]
    assert (versions[0], versions[-1]) == (1, 200)
    assert 60 <= len(versions) <= 100
    assert {later - earlier for earlier, later in pairwise(versions)} <= {2, 3}


def test_a_reset_starts_a_new_line(owner: Person, site: Site) -> None:
    poll = owner.make_poll()
    site.person().vote(poll, 1)
    site.person().vote(poll, 1)
    owner.act(poll, "reset")
    assert read(owner, poll)["points"] == []
    site.person().vote(poll, 2)
    timeline = read(owner, poll)
    assert (timeline["epoch"], [point["version"] for point in timeline["points"]]) == (2, [1])


@pytest.mark.parametrize(
    ("visibility", "voter_may"), [("after_vote", True), ("after_close", False), ("owner", False)]
)
def test_it_is_shown_to_those_who_see_the_results(
    owner: Person, outsider: Person, site: Site, visibility: str, voter_may: bool
) -> None:
    poll = owner.make_poll(results_visibility=visibility)
    voter = site.person()
    voter.vote(poll, 1)
    path = f"/api/v1/polls/{poll['id']}/timeline/"
    assert refusal(outsider.get(path)) == (403, "results_hidden")
    assert len(read(owner, poll, owner.key_of(poll))["points"]) == 1
    if voter_may:
        assert len(read(voter, poll)["points"]) == 1
    else:
        assert refusal(voter.get(path)) == (403, "results_hidden")
    owner.act(poll, "close")
    if visibility == "after_close":
        assert len(read(outsider, poll)["points"]) == 1


def test_below_min_voters_nobody_sees_it(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll(min_voters=2)
    outsider.vote(poll, 1)
    path = f"/api/v1/polls/{poll['id']}/timeline/"
    assert refusal(outsider.get(path)) == (403, "results_hidden")
    assert refusal(owner.get(path, owner.key_of(poll))) == (403, "results_hidden")
    owner.vote(poll, 2)
    assert len(read(outsider, poll)["points"]) == 2


def test_an_unknown_poll_is_not_found(outsider: Person) -> None:
    assert refusal(outsider.get("/api/v1/polls/NOSUCH/timeline/")) == (404, "poll_not_found")


@pytest.mark.django_db
def test_a_million_votes_cost_one_query_for_rows_named_by_their_primary_key() -> None:
    poll, _ = create_poll(question="Which?", options=["A", "B"])
    state = selectors.state_of(poll)._replace(version=1_000_000)
    with CaptureQueriesContext(connection) as queries:
        assert selectors.vote_moments(state) == []
    [query] = queries
    assert '"seq" IN (' in query["sql"]
