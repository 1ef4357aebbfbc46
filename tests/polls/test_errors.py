"""Every error code: provoked over HTTP, in the one shape, and declared in the schema."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from django.db import OperationalError
from django.test import override_settings

from polls import errors
from polls.errors import all_errors
from polls.rules.limits import LIMITS
from tests.polls.people import Json, Person, Site


class Scene:
    """A poll of four options, its owner, and one who has voted for option 1."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.monkeypatch = monkeypatch
        self.owner, self.voter, self.outsider = site.person(), site.person(), site.person()
        self.poll = self.owner.make_poll("A", "B", "C", "D")
        self.voter.vote(self.poll, 1)

    def path(self, rest: str = "", poll: Json | None = None) -> str:
        return f"/api/v1/polls/{(poll or self.poll)['id']}/{rest}"

    def poll_with(self, **fields: Any) -> Json:
        return self.owner.make_poll("A", "B", "C", "D", **fields)

    def vote(self, *choices: int, poll: Json | None = None, **headers: str) -> httpx.Response:
        return self.outsider.vote(poll or self.poll, *choices, **headers)

    def owner_sends(self, method: str, rest: str, body: Any = None) -> httpx.Response:
        headers = self.owner.key_of(self.poll)
        return self.owner.request(method, self.path(rest), json=body, headers=headers)

    def after(self, act: str) -> httpx.Response:
        self.owner.act(self.poll, act)
        return self.vote(2)

    def break_voting(self, error: Exception) -> httpx.Response:
        def fail(*_: Any) -> Any:
            raise error

        self.monkeypatch.setattr("polls.selectors.lock_states", fail)
        return self.vote(2)

    def too_many_codes(self) -> httpx.Response:
        self.monkeypatch.setitem(LIMITS, "voter_codes_a_poll", 5)
        poll = self.owner.make_poll(voter_policy="code")
        path = f"/api/v1/polls/{poll['id']}/voter-codes/"
        return self.owner.post(path, {"count": 6}, headers=self.owner.key_of(poll))

    def never_end(self) -> httpx.Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.get_running_loop().create_future()

        headers = {"Content-Type": "application/json"}
        with override_settings(REQUEST_SECONDS=0.01):
            return self.outsider.request(
                "POST", self.path("votes/"), content=body(), headers=headers
            )

    def flood(self) -> httpx.Response:
        import asgi
        from livepoll.rate_limits import RateLimits

        # Counted here, for this test alone.
        with override_settings(RATE_LIMITS=True, REDIS_URL="", RATE_MISSES="5/hour"):
            impatient = self.site.person(asgi.application_behind(RateLimits()))
        for _ in range(10):
            response = impatient.get("/api/v1/polls/ABCDEF/")
            if response.status_code == 429:
                break
        return response


PROVOKE: dict[str, Callable[[Scene], httpx.Response]] = {
    "malformed": lambda scene: scene.outsider.post(scene.path("votes/"), []),
    "invalid": lambda scene: scene.outsider.post("/api/v1/polls/", {}),
    "voter_required": lambda scene: scene.vote(1, poll=scene.poll_with(voter_policy="account")),
    "invalid_token": lambda scene: scene.vote(1, Authorization="Voter x"),
    "invalid_credentials": lambda scene: scene.outsider.post(
        "/api/v1/accounts/token/", {"username": "nobody", "password": "wrong"}
    ),
    "owner_required": lambda scene: scene.outsider.post(scene.path("close/")),
    "not_owner": lambda scene: scene.outsider.post(
        scene.path("close/"), headers={"Authorization": "Bearer owner_x"}
    ),
    "invalid_voter_code": lambda scene: scene.outsider.post(
        scene.path("votes/", scene.poll_with(voter_policy="code")),
        {"choices": [1], "voter_code": "unknown"},
    ),
    "results_hidden": lambda scene: scene.outsider.get(
        scene.path("results/", scene.poll_with(results_visibility="owner"))
    ),
    "origin_not_allowed": lambda scene: scene.vote(1, Origin="https://evil.example"),
    "not_found": lambda scene: scene.outsider.get("/api/v1/polls/?cursor=x"),
    "poll_not_found": lambda scene: scene.outsider.get("/api/v1/polls/ABCDEF/"),
    "not_voted": lambda scene: scene.outsider.get(scene.path("votes/me/")),
    "method_not_allowed": lambda scene: scene.outsider.request("PUT", scene.path()),
    "not_acceptable": lambda scene: scene.outsider.get(scene.path(), {"Accept": "image/png"}),
    "request_timeout": lambda scene: scene.never_end(),
    "poll_not_open": lambda scene: scene.after("pause"),
    "poll_closed": lambda scene: scene.after("close"),
    "already_voted": lambda scene: scene.voter.vote(scene.poll, 2),
    "vote_change_off": lambda scene: scene.voter.delete(scene.path("votes/me/")),
    "poll_has_votes": lambda scene: scene.owner_sends("PATCH", "", {"options": ["A", "B"]}),
    "not_code_poll": lambda scene: scene.owner_sends("POST", "voter-codes/", {"count": 1}),
    "too_many_codes": lambda scene: scene.too_many_codes(),
    "too_large": lambda scene: scene.outsider.post(scene.path("votes/"), {"x": "x" * 17_000}),
    "uri_too_long": lambda scene: scene.outsider.get("/api/v1/polls/?q=" + "x" * 9_000),
    "headers_too_large": lambda scene: scene.vote(1, Cookie="x=" + "y" * 33_000),
    "unsupported_media_type": lambda scene: scene.outsider.request(
        "POST", scene.path("votes/"), content="{}", headers={"Content-Type": "text/plain"}
    ),
    "invalid_option": lambda scene: scene.vote(5),
    "too_few_choices": lambda scene: scene.vote(),
    "too_many_choices": lambda scene: scene.vote(1, 2),
    "duplicate_choices": lambda scene: scene.vote(1, 1),
    "rate_limited": lambda scene: scene.flood(),
    "server_error": lambda scene: scene.break_voting(RuntimeError("a bug")),
    "overloaded": lambda scene: scene.break_voting(OperationalError("gone")),
}


@pytest.fixture
def scene(site: Site, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(site, monkeypatch)


def test_every_code_is_provoked() -> None:
    assert {error.code for error in all_errors()} == set(PROVOKE)


@pytest.mark.parametrize("code", PROVOKE)
def test_an_error_has_its_shape_and_stands_in_the_schema(scene: Scene, code: str) -> None:
    response = PROVOKE[code](scene)

    error = errors.BY_CODE[code]
    problem = response.json()
    assert (problem["code"], response.status_code) == (code, error.status)
    assert problem["title"] == error.title
    assert problem["type"] == f"/api/docs/errors/#{code}"
    assert code in declared_codes(scene.outsider, response)
    assert ("retry-after" in response.headers) == (error.status in (429, 503))


def declared_codes(person: Person, response: httpx.Response) -> list[str]:
    """The codes that the schema declares for this request and status."""
    schema = person.get("/api/schema/", {"Accept": "application/json"}).json()
    path = re.sub(r"(?<=/polls/)[^/]+(?=/)", "{ref}", response.request.url.path)
    operations = schema["paths"][path]
    method = response.request.method.lower()
    operation = operations.get(method) or next(iter(operations.values()))
    declared = operation["responses"][str(response.status_code)]
    assert list(declared["content"]) == ["application/problem+json"]
    return re.findall(r"`(\w+)`", declared["description"])


def test_the_page_behind_type_has_an_anchor_for_every_code(outsider: Person) -> None:
    page = outsider.get("/api/docs/errors/")
    assert page.status_code == 200
    for error in all_errors():
        assert f'id="{error.code}"' in page.text
