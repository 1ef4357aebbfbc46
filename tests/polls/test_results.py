"""GET /api/v1/polls/{id}/results/"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from polls.models import Poll
from tests.polls.people import Json, Person, Site, refusal


def get(person: Person, poll: Json, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return person.get(f"/api/v1/polls/{poll['id']}/results/", headers=named)


def test_results_before_the_first_vote(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll()
    results = get(outsider, poll).json()
    as_of = datetime.fromisoformat(results.pop("as_of"))
    assert abs(datetime.now(UTC) - as_of) < timedelta(minutes=1)
    assert results == {
        "poll": poll["id"],
        "epoch": 1,
        "version": 0,
        "status": "open",
        "final": False,
        "voters": 0,
        "votes": 0,
        "counts": {"1": 0, "2": 0},
    }


def test_results_by_code_in_any_case(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['code'].lower()}/results/"
    assert outsider.get(path).json()["poll"] == poll["id"]


def test_voters_are_people_and_votes_are_marks(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll("A", "B", "C", kind="multiple")
    voter.vote(poll, 1, 2, 3)
    neighbour.vote(poll, 2)
    results = voter.results(poll)
    assert (results["voters"], results["votes"]) == (2, 4)
    assert results["counts"] == {"1": 1, "2": 2, "3": 1}


def test_a_client_that_has_the_results_gets_304(
    owner: Person, voter: Person, outsider: Person
) -> None:
    poll = owner.make_poll()
    tag = get(outsider, poll).headers["etag"]

    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        unchanged = get(outsider, poll, If_None_Match=known)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == tag
        assert "content-length" not in unchanged.headers
    assert get(outsider, poll, If_None_Match='"other"').status_code == 200

    voter.vote(poll, 1)
    changed = get(outsider, poll, If_None_Match=tag)
    assert (changed.status_code, changed.json()["version"]) == (200, 1)


def test_the_tag_moves_with_everything_that_the_answer_shows(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(duration=3600)
    tags = [get(owner, poll).headers["etag"]]
    voter.vote(poll, 1)
    tags.append(get(owner, poll).headers["etag"])
    for act in ("pause", "open", "close", "reset"):
        owner.act(poll, act)
        tags.append(get(owner, poll).headers["etag"])
    assert len(set(tags)) == len(tags)


def test_the_tag_moves_when_the_clock_closes_the_poll(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll(duration=3600)
    tag = get(outsider, poll).headers["etag"]
    Poll.objects.update(closes_at=timezone.now() - timedelta(seconds=1))
    closed = get(outsider, poll, If_None_Match=tag)
    assert closed.status_code == 200
    assert (closed.json()["status"], closed.json()["final"]) == ("closed", True)


def test_a_read_after_a_vote_is_never_older_than_the_vote(owner: Person, site: Site) -> None:
    poll = owner.make_poll()
    for number in range(1, 8):
        site.person().vote(poll, 1)
        assert owner.results(poll)["version"] == number


def test_ratings_have_means_and_a_distribution(owner: Person, site: Site) -> None:
    poll = owner.make_poll("A", "B", "C", kind="rating")
    for ratings in ({"1": 5, "2": 3}, {"1": 4}, {"1": 4, "2": 1}):
        site.person().post(f"/api/v1/polls/{poll['id']}/votes/", {"ratings": ratings})
    results = owner.results(poll)
    assert results["counts"] == {"1": 3, "2": 2, "3": 0}
    assert results["means"]["1"] == pytest.approx(13 / 3, abs=0.01)
    assert (results["means"]["2"], results["means"]["3"]) == (2, None)
    assert results["distribution"] == {
        "1": [0, 0, 0, 2, 1],
        "2": [1, 0, 1, 0, 0],
        "3": [0, 0, 0, 0, 0],
    }
    assert (results["voters"], results["votes"]) == (3, 5)


def test_ranked_results_show_every_round_and_the_winner(owner: Person, site: Site) -> None:
    poll = owner.make_poll("A", "B", "C", kind="ranked")
    ballots = [(1, 2), (1, 2), (1,), (1, 3), (2,), (2, 3), (2, 3), (3, 2), (3, 2)]
    for choices in ballots:
        answer = site.person().vote(poll, *choices).json()
    results = owner.results(poll)
    assert results["counts"] == {"1": 4, "2": 3, "3": 2}
    assert [one["counts"] for one in results["rounds"]] == [
        {"1": 4, "2": 3, "3": 2},
        {"1": 4, "2": 5},
    ]
    assert [one["eliminated"] for one in results["rounds"]] == [3, None]
    assert [one["exhausted"] for one in results["rounds"]] == [0, 0]
    assert results["winner"] == 2
    del results["as_of"], answer["results"]["as_of"]
    assert answer["results"] == results


def test_a_ranked_poll_without_votes_has_no_winner(owner: Person) -> None:
    poll = owner.make_poll(kind="ranked")
    assert owner.results(poll)["winner"] is None


HIDDEN = (403, "results_hidden")


def test_results_for_those_who_have_voted(owner: Person, voter: Person, outsider: Person) -> None:
    poll = owner.make_poll(results_visibility="after_vote")
    assert refusal(get(voter, poll)) == HIDDEN
    assert voter.vote(poll, 1).json()["results"]["voters"] == 1
    assert get(voter, poll).status_code == 200
    assert refusal(get(outsider, poll)) == HIDDEN
    assert get(outsider, poll, **owner.key_of(poll)).status_code == 200


def test_results_are_hidden_again_from_who_took_the_vote_back(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(results_visibility="after_vote", vote_change=True)
    voter.vote(poll, 1)
    voter.delete(f"/api/v1/polls/{poll['id']}/votes/me/")
    assert refusal(get(voter, poll)) == HIDDEN


def test_results_after_the_close(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(results_visibility="after_close")
    assert voter.vote(poll, 1).json()["results"] is None
    assert refusal(get(voter, poll)) == HIDDEN
    owner.act(poll, "close")
    assert get(voter, poll).json()["counts"] == {"1": 1, "2": 0}


def test_results_for_the_owner_only(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(results_visibility="owner")
    assert voter.vote(poll, 1).json()["results"] is None
    for _ in ("open", "closed"):
        assert refusal(get(voter, poll)) == HIDDEN
        wrong = get(voter, poll, Authorization="Bearer owner_wrong")
        assert refusal(wrong) == HIDDEN
        assert get(owner, poll, **owner.key_of(poll)).json()["voters"] == 1
        owner.act(poll, "close")


@pytest.mark.parametrize("visibility", ["after_vote", "after_close", "owner"])
def test_a_refusal_gives_nothing_away(
    owner: Person, voter: Person, outsider: Person, visibility: str
) -> None:
    poll = owner.make_poll(results_visibility=visibility)
    before = get(outsider, poll)
    voter.vote(poll, 1)
    after = get(outsider, poll, If_None_Match="*")
    assert refusal(after) == HIDDEN
    assert "etag" not in after.headers
    assert after.content == before.content


def test_below_min_voters_numbers_are_withheld(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll(kind="rating", min_voters=2)
    path = f"/api/v1/polls/{poll['id']}/votes/"
    first = voter.post(path, {"ratings": {"1": 5}}).json()["results"]
    assert (first["withheld"], first["voters"]) == (True, 1)
    assert (first["votes"], first["counts"]) == (None, None)
    assert not {"means", "distribution"} & set(first)
    neighbour.post(path, {"ratings": {"1": 4}})
    results = owner.results(poll)
    assert (results["withheld"], results["counts"]) == (False, {"1": 2, "2": 0})


def test_a_forged_cookie_is_refused_and_cleared(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    for path in ("results/", "votes/me/"):
        voter.cookies.set("voter", "forged.cookie", domain="localhost.local", path="/")
        response = voter.get(f"/api/v1/polls/{poll['id']}/{path}")
        assert refusal(response) == (401, "invalid_token")
        assert "max-age=0" in response.headers["set-cookie"].lower()
        assert not voter.cookies
