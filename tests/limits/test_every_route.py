"""Every route by every method in every spelling is under a limit, or exempted by name.

Each limit allows nothing here: a request that comes through was under none. What it comes to is a
stub, so that the walk costs no database.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve

from livepoll.rate_limits import EXEMPT, LIMIT_NAMES, SAFE_METHODS, RateLimits, rates
from livepoll.static_files import is_static
from polls.http.response import respond

METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "PROPFIND")
POLL_ID = "0b9f3f0e-5e0c-4d4c-9c56-0f3a7c4ce001"
JOIN_CODE = "K7QM2X"
ARGUMENTS = {"page": "start", "language": "de", "tag": "0"}
# Not in Django's URL configuration.
PROBES = {"/healthz": "Kubernetes asks often", "/readyz": "likewise", "/metrics": "Prometheus asks"}
NEVER = "0/hour"


class Place(NamedTuple):
    name: str
    path: str
    names_join_code: bool


def routes(patterns: list[Any], prefix: str = "", namespace: str = "") -> Iterator[tuple[str, str]]:
    """The name and the route of every view."""
    for one in patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            inner = f"{one.namespace}:" if one.namespace else ""
            yield from routes(one.url_patterns, route, namespace + inner)
        else:
            assert isinstance(one, URLPattern)
            yield namespace + (one.name or one.lookup_str), route


def _places() -> Iterator[Place]:
    for name, route in routes(get_resolver().url_patterns):
        if route.startswith("^"):
            yield Place(name, "/api/nothing/", False)
            continue
        for ref in (POLL_ID, JOIN_CODE):
            path = "/" + route.replace("<str:ref>", ref).replace("<str:code>", ref)
            for argument, value in ARGUMENTS.items():
                path = path.replace(f"<slug:{argument}>", value)
            assert "<" not in path, f"{route}: say in ARGUMENTS what to put there"
            if ref in path or ref == POLL_ID:
                yield Place(name, path, ref == JOIN_CODE and ref in path)


PLACES = [*_places()]


def spellings(path: str) -> dict[str, str]:
    """As clients may send it, not yet decoded."""
    first, _, rest = path.strip("/").partition("/")
    return {
        "plain": path,
        "without slash": path.removesuffix("/"),
        "with slash": path.removesuffix("/") + "/",
        "two slashes": path.removesuffix("/") + "//",
        "slashes first": f"/{path}",
        "slashes inside": f"/{first}//{rest}",
        "upper case": path.upper(),
        "lower case": path.lower(),
        "letters encoded": "/" + "".join(f"%{ord(one):02x}" for one in path[1:]),
        "slashes encoded": "/" + quote(path[1:], safe=""),
        "dots": f"/{first}/./{rest}",
    }


def is_exempt(method: str, path: str) -> bool:
    """Whether Django, its middleware before it, has a view for this path that is exempted by name,
    or none; a join code in the path is an attempt in any case."""
    from livepoll.middleware import optional_trailing_slash

    request = HttpRequest()
    request.path = request.path_info = path
    optional_trailing_slash(lambda _: HttpResponse())(request)
    try:
        match = resolve(request.path_info)
    except Resolver404:
        return method in SAFE_METHODS
    names_join_code = JOIN_CODE.lower() in [str(one).lower() for one in match.kwargs.values()]
    return method in SAFE_METHODS and match.view_name in EXEMPT and not names_join_code


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    """The HTTP application where nothing is allowed, and all that it leads to is a stub."""
    import asgi

    async def stub(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await respond(send, 204, b"", [])

    settings.RATE_LIMITS, settings.REDIS_URL = True, ""
    for name in ("VOTES", "POLLS", "ACCOUNTS", "REQUESTS", "MISSES", "PASSWORDS"):
        setattr(settings, f"RATE_{name}", NEVER)
    monkeypatch.setattr(asgi, "django_endpoint", stub)
    monkeypatch.setattr(asgi, "running_hub", lambda: None)
    endpoints = {place: (stub, rate) for place, (_, rate) in asgi.RAW_ENDPOINTS.items()}
    monkeypatch.setattr(asgi, "RAW_ENDPOINTS", endpoints)
    return asgi.http_application(RateLimits())


async def status_of(application: Any, method: str, path: str, *headers: Any) -> int:
    """Of a request without a body, decoded as servers do it."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(),
        "query_string": b"", "headers": [(b"host", b"localhost"), *headers],
        "client": ("192.0.2.7", 4711), "scheme": "http",
    }  # fmt: skip
    await application(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize("place", PLACES, ids=lambda one: one.path)
async def test_every_spelling_is_limited_or_exempt(limited: Any, place: Place) -> None:
    unlimited = []
    for method in METHODS:
        for spelling, path in spellings(place.path).items():
            if (
                not is_exempt(method, unquote(path))
                and await status_of(limited, method, path) != 429
            ):
                unlimited.append(f"{method} {path} ({spelling})")
    assert unlimited == []


@pytest.mark.parametrize("place", PLACES, ids=lambda one: one.path)
async def test_a_voter_code_in_the_headers_is_an_attempt_everywhere(
    limited: Any, place: Place
) -> None:
    """But where a file is read: the same for all, sent before anything is looked up."""
    code = (b"voter-code", b"AAAA-AAAA")
    for path in (place.path, place.path.removesuffix("/")):
        for method in METHODS:
            if is_static({"path": path, "method": method}):
                continue
            assert await status_of(limited, method, path, code) == 429, (method, path)


async def test_what_is_exempt_comes_through(limited: Any) -> None:
    """Else the walk above would prove nothing."""
    for place in PLACES:
        if place.name in EXEMPT and not place.names_join_code:
            assert await status_of(limited, "GET", place.path) == 204, place
    for path, reason in PROBES.items():
        assert reason
        assert await status_of(limited, "GET", path) != 429
        assert await status_of(limited, "POST", path) == 429


def test_every_exemption_and_every_line_names_a_view_that_exists() -> None:
    names = {name for name, _ in routes(get_resolver().url_patterns)}
    assert {name for name, reason in EXEMPT.items() if reason} <= names
    named = {name for _, name in LIMIT_NAMES if not name.startswith("admin:")}
    assert named <= names
    assert set(LIMIT_NAMES.values()) <= set(rates())


@pytest.mark.parametrize(
    "path", ["/ws/polls/{}/", "/ws/polls/{}", "/ws/polls/{}//", "/ws//polls/{}/", "/ws/else/{}"]
)
async def test_sockets_are_attempts_in_every_spelling(limited: Any, path: str) -> None:
    async def accept(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})

    async def code_of(ref: str, *headers: Any) -> int:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "websocket", "path": path.format(ref), "client": ("192.0.2.7", 1),
            "scheme": "ws", "headers": [(b"host", b"localhost"), *headers],
        }  # fmt: skip
        await RateLimits().sockets(accept)(scope, None, send)
        return int(sent[-1]["code"])

    assert await code_of(JOIN_CODE) == 4429
    assert await code_of(JOIN_CODE.lower()) == 4429
    assert await code_of(POLL_ID) == 1000
    assert await code_of(POLL_ID, (b"voter-code", b"AAAA-AAAA")) == 4429
