"""What costs much is made for few at once; the rest hears 503 before anything was done."""

import gc

import pytest

from polls.errors import Overloaded
from polls.http import heavy_requests
from polls.http.heavy_requests import HeavyRequests
from polls.models import VoterCode
from tests.polls.people import Person, refusal


def test_one_address_has_half_of_the_places_at_most() -> None:
    requests = HeavyRequests(3)
    first, second = requests.take("a"), requests.take("a")
    with pytest.raises(Overloaded):
        requests.take("a")
    other = requests.take("b")
    assert not requests.is_wanted()
    with pytest.raises(Overloaded):
        requests.take("c")
    assert requests.is_wanted()
    first.release()
    first.release()
    with pytest.raises(Overloaded):
        requests.take("b")  # it was c's turn
    third = requests.take("c")
    assert not requests.is_wanted()
    with pytest.raises(Overloaded):
        requests.take("d")
    for place in (second, other, third):
        place.release()
    assert len([requests.take(name) for name in "dxy"]) == 3


def test_who_was_refused_has_the_next_place_if_they_come_again_in_time() -> None:
    now = [0.0]
    requests = HeavyRequests(2, clock=lambda: now[0])
    held = requests.take("a"), requests.take("b")
    for name in "cd":
        with pytest.raises(Overloaded):
            requests.take(name)
    held[0].release()
    for name in "eda":
        with pytest.raises(Overloaded):
            requests.take(name)
    now[0] = 9.0
    with pytest.raises(Overloaded):
        requests.take("d")  # still behind c, who may come
    now[0] = 11.0
    requests.take("d").release()
    assert not requests.is_wanted()
    requests.take("e").release()


def test_a_place_that_was_lost_is_free_again() -> None:
    requests = HeavyRequests(1)
    requests.take("a")
    gc.collect()
    requests.take("b").release()


@pytest.mark.parametrize(
    ("method", "path", "accepted"),
    [
        ("GET", "export/votes.csv", "*/*"),
        ("GET", "export/report.pdf", "*/*"),
        ("POST", "voter-codes/", "application/json"),
        ("POST", "voter-codes/", "text/html"),
    ],
)
def test_a_heavy_request_too_many_is_refused_and_does_nothing(
    owner: Person, monkeypatch: pytest.MonkeyPatch, method: str, path: str, accepted: str
) -> None:
    monkeypatch.setattr(heavy_requests, "heavy_requests", HeavyRequests(1))
    poll = owner.make_poll(voter_policy="code")
    headers = {**owner.key_of(poll), "Accept": accepted}
    body = {"count": 2} if method == "POST" else None
    place = heavy_requests.heavy_requests.take("someone else")
    address = f"/api/v1/polls/{poll['id']}/{path}"
    refused = owner.request(method, address, json=body, headers=headers)
    assert refusal(refused) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert not VoterCode.objects.exists()
    place.release()
    for _ in range(3):  # each gives its place back
        done = owner.request(method, address, json=body, headers=headers)
        assert done.status_code in (200, 201), done.text
        failed = owner.request(method, address, json={"count": 0}, headers=headers)
        assert failed.status_code in (200, 400)
