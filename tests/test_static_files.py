"""Static files from memory: what WhiteNoise says, asked once a file."""

import asyncio
from typing import Any

import pytest

from asgi import http_application
from livepoll.counters import Counters, OwnWindows
from livepoll.django_endpoint import django_endpoint
from livepoll.django_request import get_scope
from livepoll.rate_limits import RateLimits
from livepoll.static_files import LARGEST_KEPT_BYTES, StaticFiles
from polls.http.request_ids import with_request_ids
from tests.polls.conftest import site
from tests.polls.people import Person, Site
from web import page_files

__all__ = ["site"]

TEXTS = page_files.script("vote", "de").url
SCRIPT, STYLE, FONT = (
    f"/static/web/{name}" for name in ("js/live.js", "css/base.css", "font/figtree.woff2")
)
# What only files from memory have, and what follows the clock.
OWN = ("x-request-id", "etag", "last-modified", "date")


class Counted:
    """An application that notes the paths it was asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await django_endpoint(scope, receive, send)


@pytest.fixture
def django() -> Counted:
    return Counted()


@pytest.fixture
def visitor(site: Site, django: Counted) -> Person:
    return site.person(StaticFiles(django))


def test_each_file_is_as_whitenoise_sends_it(site: Site, visitor: Person) -> None:
    ordinary = site.person(with_request_ids(django_endpoint))
    others = (f"{SCRIPT}?x=1", "/static/web/js/none.js", "/static/", "/scripts/none.en.0.js")
    for path in (SCRIPT, STYLE, FONT, TEXTS, page_files.style("vote").url, *others):
        for method in ("GET", "HEAD"):
            for encoding in ("identity", "gzip"):
                kept, own = (
                    one.request(method, path, headers={"Accept-Encoding": encoding})
                    for one in (visitor, ordinary)
                )
                assert kept.status_code == own.status_code, path
                if method == "GET":
                    assert kept.content == own.content, path
                differ = OWN if kept.status_code != 200 else (*OWN, "content-length")
                assert {k: v for k, v in kept.headers.items() if k not in differ} == {
                    k: v for k, v in own.headers.items() if k not in differ
                }, path


def test_a_file_is_asked_for_once(visitor: Person, django: Counted) -> None:
    for _ in range(3):
        assert visitor.get(SCRIPT).status_code == 200
    assert visitor.get(STYLE).status_code == 200
    assert django.paths == [SCRIPT, STYLE]


async def test_many_at_once_share_one_reading(transactional_db: None, django: Counted) -> None:
    files = StaticFiles(django)
    statuses: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scopes = [get_scope(SCRIPT, headers=[(b"host", b"localhost")]) for _ in range(20)]
    await asyncio.gather(*(files(scope, receive, send) for scope in scopes))
    assert statuses == [200] * 20
    assert django.paths == [SCRIPT]


def test_what_is_not_there_is_asked_for_once_a_request(visitor: Person, django: Counted) -> None:
    missing = "/static/web/js/none.js"
    assert visitor.get(missing).status_code == 404
    django.paths.clear()
    for _ in range(2):
        assert visitor.get(missing).status_code == 404
    assert django.paths == [missing] * 2


def test_a_file_has_one_etag(visitor: Person) -> None:
    for path in (SCRIPT, FONT, TEXTS):
        assert len(visitor.get(path).headers.get_list("etag")) == 1, path


def test_a_page_of_another_version_gets_this_ones_script_which_is_not_kept(
    visitor: Person, django: Counted
) -> None:
    other = "/scripts/vote.de.000000000000.js"
    for _ in range(2):
        answer = visitor.get(other)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content == visitor.get(TEXTS).content
    assert django.paths.count(other) == 3  # the first finds out that it is not to be kept
    assert django.paths.count(TEXTS) == 1


def test_it_is_compressed_and_304_to_who_has_it(visitor: Person) -> None:
    whole = visitor.get(SCRIPT, headers={"Accept-Encoding": "identity"}).content
    for accepted in ("gzip", "gzip, br"):
        answer = visitor.get(SCRIPT, headers={"Accept-Encoding": accepted})
        assert answer.headers["content-encoding"] == "gzip"  # brotli once they are collected
        own = visitor.get(TEXTS, headers={"Accept-Encoding": accepted})
        assert own.headers["content-encoding"] == accepted.rpartition(" ")[2]
        assert int(answer.headers["content-length"]) < len(whole)
        assert answer.content == whole  # httpx decompresses
        again = visitor.get(
            SCRIPT, headers={"Accept-Encoding": accepted, "If-None-Match": answer.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")


def test_a_range_and_a_large_file_are_whitenoises_own(visitor: Person, django: Counted) -> None:
    part = visitor.get(SCRIPT, headers={"Range": "bytes=0-9", "Accept-Encoding": "identity"})
    assert (part.status_code, len(part.content)) == (206, 10)
    large = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
    for reads in (2, 3):  # the first finds out that it is large
        assert len(visitor.get(large).content) > LARGEST_KEPT_BYTES
        assert django.paths.count(large) == reads


def test_a_files_path_is_no_join_code(site: Site, settings: Any) -> None:
    settings.RATE_LIMITS, settings.RATE_MISSES = True, "0/minute"
    visitor = site.person(http_application(RateLimits(Counters("", OwnWindows()))))
    assert visitor.get("/p/K7QM2X/").status_code == 429
    for path in (SCRIPT, "/static/web/js/kinds/single.js", TEXTS):
        assert visitor.get(path).status_code == 200, path
