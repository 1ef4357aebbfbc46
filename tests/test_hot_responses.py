"""Responses that are kept: what Django says, nothing of a client, never old."""

import asyncio
import gzip
import itertools
from typing import Any

import brotli
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livepoll.django_endpoint import django_endpoint
from livepoll.hot_responses import HotResponses, Kept
from livepoll.kept_response import KeptResponse, encoding_for
from polls.http.request_ids import with_request_ids
from polls.rules.kinds import KINDS
from tests.polls.conftest import owner, site, voter
from tests.polls.kinds.states import option_texts
from tests.polls.people import Json, Person, Site
from tests.sizes import sized

__all__ = ["owner", "site", "voter"]

# What is meant to differ: each request's own, and what only kept responses have.
OWN = ("x-request-id", "set-cookie", "etag")
LANGUAGES = ("", "en", "de-AT,de;q=0.9", "ar", "fr,ar;q=0.1", "*")
HOSTS = ("http://localhost", "https://localhost", "http://localhost:8443")
POLL_PATHS = (
    "/p/{code}/", "/p/{id}", "/p/{lower}/", "/p/{code}/live/", "/p/{code}/live",
    "/api/v1/polls/{id}/", "/api/v1/polls/{code}", "/api/v1/polls/{lower}/",
    "/api/v1/polls/{id}/?page_size=x", "/p/{code}/live/?overlay=1",
    "/p/{code}/live/?embed=1&overlay=0", "/p/{code}/?utm_source=x",
)  # fmt: skip
EACH = sized(short=5, long=1)  # has no divisor in common with the lists that take turns
PATHS = (
    "/", "/?utm_source=x", "/api/v1/polls/", "/api/v1/polls", "/api/v1/polls/?status=open",
    "/api/v1/polls/?status=open&page_size=1", "/api/v1/polls/?status=nothing",
    "/api/v1/polls/?q=green", "/api/v1/polls/?page_size=0", "/api/v1/polls/?cursor=x",
    "/p/NOSUCH/", "/p/NOSUCH/live/",
    "/api/v1/polls/NOSUCH/", "/api/v1/polls/x/", "/p/x%00/", "/p/%2e%2e/", "/p/", "/p//",
)  # fmt: skip
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept": "text/html"},
    {"Accept": "application/json"},
    {"Accept": "application/json; indent=4"},
    {"Origin": "https://example.org"},
    {"Origin": "https://elsewhere.example"},
    {"Authorization": "Bearer nonsense"},
    {"Cookie": "django_language=de; other=1"},
    {"Cookie": "django_language=xx"},
    {"Cookie": "voter=nonsense"},
    {"If-Modified-Since": "Wed, 21 Oct 2015 07:28:00 GMT", "Range": "bytes=0-10"},
    {"Host": "elsewhere.example"},
    {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"},
)


@pytest.fixture
def hot(site: Site, settings: Any) -> Person:
    settings.ALLOWED_ORIGINS = ["https://example.org"]
    return site.person()


@pytest.fixture
def polls(owner: Person) -> list[Json]:
    """One of each kind, and one in each state."""
    made = [
        owner.make_poll(*option_texts(kind, 3), kind=kind, question=f"A {kind} <b>\u2028poll</b>?")
        for kind in KINDS
    ]
    for act in ("pause", "close"):
        made.append(owner.make_poll())
        owner.act(made[-1], act)
    made += [
        owner.make_poll(draft=True),
        owner.make_poll(opens_at="2099-01-01T00:00:00Z", results_visibility="after_close"),
        owner.make_poll(closes_at="2099-01-01T00:00:00Z", voter_policy="code"),
        owner.make_poll(
            voter_policy="account", embed_origins=["https://a.example"], description="x"
        ),
    ]
    return made


def shown(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """All of a response but what is meant to differ."""
    headers = {name: one for name, one in response.headers.items() if name not in OWN}
    return response.status_code, headers, response.content


def assert_same(
    hot: Person, django: Person, url: str, headers: dict[str, str], *, is_kept: bool
) -> None:
    sent = {"Accept-Encoding": "identity", **headers}
    for method in ("GET", "HEAD") if is_kept else ("GET",):
        kept, own = (one.request(method, url, headers=sent) for one in (hot, django))
        assert shown(kept) == shown(own), (method, url, headers)
        assert len(kept.headers.get_list("x-request-id")) == 1


def test_what_is_kept_is_what_django_says(
    site: Site, hot: Person, polls: list[Json], owner: Person, voter: Person
) -> None:
    django = site.person(with_request_ids(django_endpoint))
    urls = [
        path.format(**poll, lower=poll["code"].lower()) for poll in polls for path in POLL_PATHS
    ]
    asked = zip(
        [*urls, *PATHS * 3], itertools.cycle(HEADERS), itertools.cycle(LANGUAGES),
        itertools.cycle(HOSTS), strict=False,
    )  # fmt: skip
    for url, headers, language, host in itertools.islice(asked, None, None, EACH):
        sent = headers | ({"Accept-Language": language} if language else {})
        for is_kept in (False, True):
            assert_same(hot, django, host + url, sent, is_kept=is_kept)


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity"])
def test_a_page_is_compressed_once_and_a_client_that_has_it_gets_304(
    hot: Person, polls: list[Json], encoding: str
) -> None:
    for path in (f"/p/{polls[0]['code']}/", "/", f"/api/v1/polls/{polls[0]['id']}/"):
        sent = {"Accept-Encoding": encoding}
        first, again = (hot.get(path, sent) for _ in range(2))
        is_page = not path.startswith("/api/")
        assert first.headers.get("content-encoding", "identity") == (
            encoding if is_page else "identity"
        )
        assert first.content == again.content  # decoded by httpx
        assert first.headers["etag"] == again.headers["etag"]
        unchanged = hot.get(path, sent | {"If-None-Match": f'"x", W/{first.headers["etag"]}'})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        named = {"etag", "vary", "cache-control", "content-security-policy"}
        assert {name: unchanged.headers[name] for name in named} == {
            name: first.headers[name] for name in named
        }
        assert hot.get(path, sent | {"If-None-Match": '"other"'}).status_code == 200


def test_each_encoding_says_the_same_under_a_tag_of_its_own() -> None:
    body = b"<p>page</p>" * 100
    kept = KeptResponse([(b"Vary", b"Accept-Encoding"), (b"Content-Type", b"text/html")], body)
    assert brotli.decompress(kept._body("br", 0)) == body
    assert gzip.decompress(kept._body("gzip", 0)) == body


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (b"", ""), (b"gzip, deflate, br", "br"), (b"gzip, deflate", "gzip"), (b"identity", ""),
        (b"br;q=0, gzip;q=0.5", "gzip"), (b"gzip;q=0.0", ""), (b"GZIP", "gzip"), (b";;,=", ""),
    ],
)  # fmt: skip
def test_a_client_gets_an_encoding_that_it_takes(accepted: bytes, encoding: str) -> None:
    assert encoding_for(accepted) == encoding


def test_nothing_of_a_client_gets_into_what_others_are_sent(
    site: Site, hot: Person, polls: list[Json]
) -> None:
    asked = []

    async def recording(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)
        await django_endpoint(scope, receive, send)

    person = site.person(HotResponses(recording))
    secret = "s3cret"
    sent = dict.fromkeys(("Cookie", "Voter-Code", "Idempotency-Key", "Referer", "X-Any"), secret)
    for path in (
        f"/p/{polls[0]['code']}/",
        f"/api/v1/polls/{polls[0]['id']}/",
        "/",
        "/api/v1/polls/",
    ):
        first = person.get(path, sent)
        assert first.status_code == 200
        assert secret not in first.text + str(first.headers)
    assert len(asked) == 4
    assert secret not in str(asked)
    assert not [scope for scope in asked if scope["client"]]


def test_each_phone_gets_a_voter_token_of_its_own_once(hot: Person, polls: list[Json]) -> None:
    path = f"/p/{polls[0]['code']}/"
    first = hot.get(path)
    token = hot.cookies["voter"]
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "set-cookie" not in hot.get(path).headers
    hot.cookies.clear()
    hot.get(path)
    assert hot.cookies["voter"] != token
    assert (
        "__Host-voter"
        in hot.get(f"https://localhost{path}", {"Cookie": "x=1"}).headers["set-cookie"]
    )
    assert hot.vote(polls[0], 1).json()["voter_token"] == hot.cookies["voter"]
    for other in ("/", f"/p/{polls[0]['code']}/live/", f"/api/v1/polls/{polls[0]['id']}/"):
        assert "set-cookie" not in hot.get(other, {"Cookie": "x=1"}).headers


def test_credentials_are_djangos_to_see(site: Site, hot: Person, polls: list[Json]) -> None:
    path = f"/api/v1/polls/{polls[0]['id']}/"
    assert "etag" in hot.get(path).headers
    response = hot.get(path, {"Authorization": "Bearer x"})
    assert "etag" not in response.headers
    assert response.headers["cache-control"] == "no-store"


def test_memory_is_bounded_and_the_least_used_leaves() -> None:
    one = KeptResponse([], b"x" * 1000)
    kept = Kept(3 * one.size)
    for name in ("a", "b", "c"):
        kept.keep(name, 1, one)
    assert kept.get("a") == (1, one)
    kept.keep("d", 1, one)
    kept.keep("d", 2, one)
    assert [kept.get(name) for name in "abcd"] == [(1, one), None, (1, one), (2, one)]


EXAMPLES = sized(short=3, long=60)
ACTS: dict[str, Any] = {
    "question": lambda owner, poll, n: owner.patch(
        f"/api/v1/polls/{poll['id']}/", {"question": f"Question {n}?"}, owner.key_of(poll)
    ),
    "option": lambda owner, poll, n: owner.patch(
        f"/api/v1/polls/{poll['id']}/",
        {"options": [{"id": 1, "text": f"Option {n}"}, {"id": 2, "text": "Green"}]},
        owner.key_of(poll),
    ),
    "pause": lambda owner, poll, n: owner.act(poll, "pause"),
    "open": lambda owner, poll, n: owner.act(poll, "open"),
    "close": lambda owner, poll, n: owner.act(poll, "close"),
    "reset": lambda owner, poll, n: owner.act(poll, "reset"),
    "vote": lambda owner, poll, n: owner.vote(poll, 1, Idempotency_Key=f"{poll['id']}{n}"),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=EXAMPLES)
@given(acts=st.lists(st.tuples(st.sampled_from([*ACTS]), st.integers(0, 2)), max_size=8))
def test_a_page_is_never_older_than_an_acknowledged_act(
    site: Site, acts: list[tuple[str, int]]
) -> None:
    """Two applications with memories of their own; who acts and who reads is any of them."""
    readers = [site.person(HotResponses(django_endpoint)) for _ in range(2)]
    django = site.person(django_endpoint)
    owner = site.person()
    poll = owner.make_poll()
    paths = (f"/p/{poll['code']}/", f"/p/{poll['code']}/live/", f"/api/v1/polls/{poll['id']}/",
             "/api/v1/polls/", "/")  # fmt: skip
    for number, (act, reader) in enumerate(acts):
        for one in readers[:reader]:
            for path in paths:
                one.get(path)
        ACTS[act](owner, poll, number)
        for path in paths:
            now = django.get(path).text
            assert [one.get(path).text for one in readers] == [now, now], (act, path)


def test_one_making_serves_all_who_ask_at_once(site: Site, polls: list[Json]) -> None:
    made = 0

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal made
        made += 1
        await django_endpoint(scope, receive, send)

    hot = HotResponses(counting)

    async def crowd(path: str) -> list[int]:
        transport = httpx.ASGITransport(hot)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            responses = await asyncio.gather(*(client.get(path) for _ in range(50)))
        return [one.status_code for one in responses]

    assert site.run(crowd(f"/p/{polls[0]['code']}/")) == [200] * 50
    assert made == 1
    assert site.run(crowd("/api/v1/polls/")) == [200] * 50
    assert made == 2


def test_who_asks_while_it_is_made_waits_for_the_next_making(site: Site) -> None:
    """What is being made may have been read before what this client knows of."""
    made = 0

    async def ask() -> list[str]:
        begun, goes_on = asyncio.Event(), asyncio.Event()

        async def django(scope: Any, receive: Any, send: Any) -> None:
            nonlocal made
            made += 1
            body = str(made).encode()
            begun.set()
            await goes_on.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

        transport = httpx.ASGITransport(HotResponses(django))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            asked = [asyncio.create_task(client.get("/api/v1/polls/"))]
            await begun.wait()
            asked += [asyncio.create_task(client.get("/api/v1/polls/")) for _ in range(3)]
            for _ in range(20):  # they get as far as they can
                await asyncio.sleep(0)
            goes_on.set()
            return [(await one).text for one in asked]

    assert site.run(ask()) == ["1", "2", "2", "2"]
