"""Requests that once cost the server much, or had it fail: each is refused, and cheaply."""

import time
from typing import Any
from uuid import UUID

import pytest

from polls.identity import client_address as addresses
from polls.identity.client_address import client_address
from polls.refs import parse_ref
from tests.polls.people import Person

pytestmark = pytest.mark.django_db(transaction=True)

POLL_ID = "0b9f3f0e-5e0c-4d4c-9c56-0f3a7c4ce001"


@pytest.fixture
def cpu() -> Any:
    """The CPU seconds of this process since the test began."""
    begin = time.process_time()
    return lambda: time.process_time() - begin


@pytest.mark.parametrize(
    "size", ["000000001000000", "000000001" + "9" * 5_000, "9" * 5_000, "0001"]
)
def test_a_size_of_a_page_is_three_digits_at_most(owner: Person, size: str) -> None:
    assert owner.get(f"/api/v1/polls/?page_size={size}").status_code == 400


def test_an_epoch_of_many_digits_is_refused(owner: Person) -> None:
    poll = owner.make_poll()
    path = f"/api/v1/polls/{poll['id']}/export/votes.csv?epoch={'9' * 5_000}"
    assert owner.get(path, owner.key_of(poll)).status_code == 400


def test_a_thousand_fields_are_refused(owner: Person) -> None:
    assert owner.get("/api/v1/polls/?" + "a&" * 1_500).status_code == 400


@pytest.mark.parametrize("kind", ['a/b; x="' + ";" * 30_000, "text/plain; charset*=bogus'x'%41"])
def test_a_content_type_costs_nothing_and_breaks_nothing(
    owner: Person, cpu: Any, kind: str
) -> None:
    for method in ("GET", "POST"):
        response = owner.request(method, "/api/v1/polls/", headers={"Content-Type": kind})
        assert response.status_code == 415
    assert cpu() < 0.5


@pytest.mark.parametrize("options", [[1] * 60_000, [{}] * 60_000, ["x"] * 51])
def test_what_is_in_a_list_that_is_too_long_is_not_looked_at(
    owner: Person, cpu: Any, options: list[Any]
) -> None:
    response = owner.post("/api/v1/polls/", {"question": "?", "options": options})
    assert response.status_code == 400
    assert len(response.content) < 1_000
    assert cpu() < 1


@pytest.mark.parametrize("hops", [0, 1, 2])
@pytest.mark.parametrize("may_be_claimed", [True, False])
def test_a_long_list_of_addresses_costs_nothing(
    settings: Any, monkeypatch: pytest.MonkeyPatch, cpu: Any, hops: int, may_be_claimed: bool
) -> None:
    settings.TRUSTED_PROXIES = hops
    monkeypatch.setattr(addresses, "_may_be_claimed", may_be_claimed)
    header = ",".join(f"10.0.{n // 250}.{n % 250}" for n in range(3_000)) + ",192.0.2.1,192.0.2.2"
    for n in range(300):
        found = client_address("198.51.100.7", f"{n},{header}")
    assert found == ("198.51.100.7", "192.0.2.2", "192.0.2.1")[hops]
    assert cpu() < 0.2


def test_a_server_that_knows_its_peers_ignores_the_header(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRUSTED_PROXIES = 0
    monkeypatch.setattr(addresses, "_may_be_claimed", True)
    assert client_address("198.51.100.7", "198.51.100.7") == "127.0.0.1"
    monkeypatch.setattr(addresses, "_may_be_claimed", False)
    assert client_address("198.51.100.7", "198.51.100.7") == "198.51.100.7"


def test_a_poll_has_few_names() -> None:
    known = UUID(POLL_ID)
    for name in (POLL_ID, POLL_ID.upper(), known.hex, known.hex.upper()):
        assert parse_ref(name) == known
    for name in (f"0-{known.hex[1:]}---", f"{{{known.hex}}}", f"urn:{known.hex}", known.hex * 200):
        assert parse_ref(name) is None
