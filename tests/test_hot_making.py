"""The making of responses that are kept: whose turn it takes, what it counts, what it fits to."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.http import HttpRequest

from livepoll.django_endpoint import django_endpoint
from livepoll.django_request import get_scope
from livepoll.hot_responses import LIST, Asked, HotResponses
from livepoll.kept_response import KeptResponse
from livepoll.static_files import StaticFiles
from polls.http.attempts import Attempts, current_attempts
from polls.http.request import RawRequest
from tests.polls.conftest import owner, site
from tests.polls.people import Json, Person, Site

__all__ = ["owner", "site"]


class Counted:
    """Django, which notes what it is asked for and in whose attempts."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.attempts: list[Attempts] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.attempts.append(current_attempts.get())
        await django_endpoint(scope, receive, send)


@pytest.fixture
def django() -> Counted:
    return Counted()


@pytest.fixture
def poll(owner: Person) -> Json:
    return owner.make_poll()


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose the work is that waits for Django's threads."""
    found: list[str] = []
    submit = django_endpoint.ordinary.submit

    def noting(work: Any, *, sender: str = "") -> Any:
        found.append(sender)
        return submit(work, sender=sender)

    monkeypatch.setattr(django_endpoint.ordinary, "submit", noting)
    return found


def test_who_has_much_made_keeps_no_other_from_having_something_made(
    site: Site, poll: Json, senders: list[str], django: Counted
) -> None:
    """Addresses take turns for Django's threads, here too."""
    paths = (f"/p/{poll['code']}/", "/api/v1/polls/?q=x", "/static/web/js/live.js")
    for number, path in enumerate(paths):
        application = StaticFiles(django) if path.startswith("/static") else HotResponses(django)
        address = f"203.0.113.{number}"
        assert site.person(application, address=address).get(path).status_code == 200
        assert senders.pop() == address
        assert address not in str(django.scopes[-1]["headers"])
        assert django.scopes[-1]["client"] is None
    assert not senders


def test_a_making_counts_no_attempt_of_who_happened_to_be_first(
    site: Site, poll: Json, django: Counted
) -> None:
    """All who wait are answered for themselves where it fails; so a miss would count twice."""
    hot = HotResponses(django)

    class First(Attempts):
        pass

    async def limited(scope: dict[str, Any], receive: Any, send: Any) -> None:
        current_attempts.set(First())
        await hot(scope, receive, send)

    for path in (f"/p/{poll['code']}/", "/"):
        assert site.person(limited).get(path).status_code == 200
    assert [type(one) for one in django.attempts] == [Attempts, Attempts]


def test_a_screen_is_made_for_what_its_page_reads_of_the_query(
    site: Site, poll: Json, django: Counted
) -> None:
    person, ordinary = site.person(HotResponses(django)), site.person(django_endpoint)
    makings = 0
    for query, more in (
        ("", 1), ("?x=1", 0), ("?x=2&overlay=0", 0), ("?overlay=1&y=3", 1), ("?overlay=1", 0),
        ("?overlay=1&overlay=0", 0), ("?overlay=0&overlay=1", 0), ("?embed=1&overlay=1", 1),
        ("?overlay=%31&&embed", 0), ("?over%6cay=1&embed=1", 0), ("?embed=1;overlay=1", 0),
    ):  # fmt: skip
        path = f"/p/{poll['code']}/live/{query}"
        assert person.get(path).text == ordinary.get(path).text
        makings += more
        assert len(django.scopes) == makings, query


def test_a_poll_that_is_reset_while_it_is_made_has_no_version_of_before(
    site: Site, poll: Json, owner: Person
) -> None:
    """A client that had (2, 1) would drop all that is live of epoch 2 up to there."""

    async def django(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.to_thread(owner.act, poll, "reset")
        await django_endpoint(scope, receive, send)

    assert owner.vote(poll, 1).status_code == 201
    shown = site.person(HotResponses(django)).get(f"/api/v1/polls/{poll['id']}/").json()
    assert (shown["epoch"], shown["version"]) == (2, 0)


async def test_the_first_client_leaves_and_the_others_get_it() -> None:
    goes_on = asyncio.Event()

    async def django(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await goes_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    hot = HotResponses(django)
    asked = Asked(LIST, b"", b"localhost", False, "en", b"")
    asks: tuple[Callable[[], Any], ...] = (
        lambda: hot._of_states.get("one", partial(hot._made, get_scope("/"), LIST)),
        lambda: hot._of_many(asked, "203.0.113.9"),
    )
    for ask in asks:
        goes_on.clear()
        first, *others = (asyncio.ensure_future(ask()) for _ in range(20))
        await asyncio.sleep(0)  # all wait for one making
        first.cancel()
        await asyncio.wait([first])
        goes_on.set()
        made = await asyncio.gather(*others)
        assert made[0] is not None
        assert set(made) == {made[0]}


def test_where_the_making_fails_each_is_answered_for_itself(site: Site, poll: Json) -> None:
    async def django(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["client"] is None:
            raise RuntimeError("no making")
        await django_endpoint(scope, receive, send)

    for path in (f"/p/{poll['code']}/", "/api/v1/polls/"):
        assert site.person(HotResponses(django)).get(path).status_code == 200


@pytest.mark.parametrize(
    ("asked_at", "version"), [((2, 5), 5), ((2, 3), 4), ((1, 9), 4), ((3, 1), 4)]
)
async def test_a_version_is_of_the_epoch_that_the_bytes_are_of(
    asked_at: tuple[int, int], version: int
) -> None:
    sent: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    kept = KeptResponse([], b'{"id":"x","epoch":2,"version":4,"links":{}}', has_version=True)
    await kept.send(send, [], version_at=asked_at)
    assert sent[-1] == b'{"id":"x","epoch":2,"version":%d,"links":{}}' % version


def test_while_templates_are_written_nothing_is_kept(
    site: Site, poll: Json, django: Counted, settings: Any
) -> None:
    settings.DEBUG = True
    person = site.person(HotResponses(django))
    for _ in range(2):
        assert person.get(f"/p/{poll['code']}/").status_code == 200
    assert len(django.scopes) == 2


@pytest.mark.parametrize(
    "claim", ["https", "http", "https,http", "https, https", " https", "x", ""]
)
@pytest.mark.parametrize("proxies", [0, 1])
def test_a_connection_is_secure_where_django_says_so(
    settings: Any, claim: str, proxies: int
) -> None:
    settings.TRUSTED_PROXIES = proxies
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if proxies else None
    request = HttpRequest()
    request.META["HTTP_X_FORWARDED_PROTO"] = claim
    headers = [(b"x-forwarded-proto", claim.encode())]
    raw = RawRequest({"path": "/", "scheme": "http", "headers": headers})
    assert raw.is_secure is request.is_secure()
