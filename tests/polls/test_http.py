"""What holds for every path: slashes, bodies, methods, hosts, and one shape of refusal."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.urls import resolve

from livepoll import health
from polls.rules.limits import LIMITS
from tests.limits.test_every_route import PLACES
from tests.polls.people import Json, Person, Site, refusal

NEW_POLL = {"question": "?", "options": ["A", "B"]}


def send(person: Person, method: str, path: str, content: bytes, **headers: str) -> Any:
    named = {"Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return person.request(method, path, content=content, headers=named)


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_path_works_with_and_without_its_trailing_slash(
    owner: Person, voter: Person, slash: str
) -> None:
    created = owner.post(f"/api/v1/polls{slash}", NEW_POLL)
    assert created.status_code == 201
    key = {"Authorization": f"Bearer {created.json()['owner_key']}"}
    poll = f"/api/v1/polls/{created.json()['id']}"
    calls = [
        (voter, "POST", f"{poll}/votes", {"choices": [1]}, 201),
        (voter, "GET", f"{poll}/votes/me", None, 200),
        (voter, "DELETE", f"{poll}/votes/me", None, 409),
        (voter, "GET", f"{poll}/results", None, 200),
        (voter, "GET", f"{poll}/corrections", None, 200),
        (voter, "GET", poll, None, 200),
        (voter, "GET", "/api/v1/polls", None, 200),
        (voter, "GET", "/api/v1/limits", None, 200),
        (voter, "POST", "/api/v1/voters", None, 201),
        (voter, "GET", "/api/schema", None, 200),
        (voter, "GET", "/api/docs", None, 200),
        (voter, "GET", "/api/docs/errors", None, 200),
        (voter, "GET", "/healthz", None, 200),
        (voter, "GET", "/readyz", None, 200),
        (owner, "PATCH", poll, {"question": "!"}, 200),
        (owner, "POST", f"{poll}/pause", None, 200),
        (owner, "POST", f"{poll}/open", None, 200),
        (owner, "POST", f"{poll}/close", None, 200),
        (owner, "POST", f"{poll}/reset", None, 200),
        (owner, "POST", f"{poll}/clone", None, 201),
        (owner, "DELETE", poll, None, 204),
    ]
    for person, method, path, body, status in calls:
        headers = key if person is owner else None
        response = person.request(method, f"{path}{slash}", json=body, headers=headers)
        assert response.status_code == status, (method, path, response.text)


def test_limits_are_published(outsider: Person) -> None:
    response = outsider.get("/api/v1/limits/")
    assert response.json() == LIMITS
    assert (
        response.json().items()
        >= {
            "question_characters": 300,
            "description_characters": 2000,
            "option_text_characters": 200,
            "options_min": 2,
            "options_max": 50,
            "vote_body_bytes": 16 * 1024,
            "websocket_frame_bytes": 4 * 1024,
        }.items()
    )


NOT_JSON = {
    "nothing": b" ",
    "cut off": b'{"choices": [1',
    "single quotes": b"{'choices': [1]}",
    "a form": b"choices=1",
    "NaN": b'{"choices": [NaN]}',
    "infinity": b'{"choices": [-Infinity]}',
    "two values": b'{"choices": [1]} {}',
    "deep nesting": b'{"choices": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    "deep objects": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "a lone surrogate": b'{"choices": [1], "voter_code": "\\ud800"}',
    "broken UTF-8": b'{"choices": [1], "voter_code": "\xff"}',
    "UTF-16": '{"choices": [1]}'.encode("utf-16"),
    "a null byte": b'{"choices": [1]}\x00',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
@pytest.mark.parametrize("path", ["/api/v1/polls/", "/api/v1/polls/{id}/votes/"])
def test_what_is_not_json_is_malformed(owner: Person, path: str, body: bytes) -> None:
    poll = owner.make_poll()
    response = send(owner, "POST", path.format(**poll), body)
    assert refusal(response) == (400, "malformed")
    assert owner.results(poll)["version"] == 0


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"null", b"true", b"[1]", b""])
def test_a_vote_is_an_object(owner: Person, voter: Person, body: bytes) -> None:
    poll = owner.make_poll()
    response = send(voter, "POST", f"/api/v1/polls/{poll['id']}/votes/", body)
    assert refusal(response) == (400, "malformed")


@pytest.mark.parametrize("choice", ["18446744073709551616", "1e400", "9" * 400, "-0.0", "1.0"])
def test_a_number_that_is_no_option_does_no_harm(owner: Person, voter: Person, choice: str) -> None:
    poll = owner.make_poll()
    body = b'{"choices": [%b]}' % choice.encode()
    response = send(voter, "POST", f"/api/v1/polls/{poll['id']}/votes/", body)
    assert response.status_code in (400, 422)


def test_a_null_character_in_a_voter_code_does_no_harm(owner: Person, voter: Person) -> None:
    poll = owner.make_poll(voter_policy="code")
    body = {"choices": [1], "voter_code": "\x00"}
    response = voter.post(f"/api/v1/polls/{poll['id']}/votes/", body)
    assert response.status_code in (401, 403)


def test_a_poll_body_is_bounded(outsider: Person) -> None:
    limit = LIMITS["poll_body_bytes"]
    body = json.dumps(NEW_POLL).encode()
    assert send(outsider, "POST", "/api/v1/polls/", body.ljust(limit)).status_code == 201
    too_long = send(outsider, "POST", "/api/v1/polls/", body.ljust(limit + 1))
    assert refusal(too_long) == (413, "too_large")
    enormous = send(outsider, "POST", "/api/v1/polls/", body.ljust(5_000_000))
    assert refusal(enormous) == (413, "too_large")


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/polls/", "/api/v1/polls/{id}/votes/"])
def test_other_media_types_are_not_taken(owner: Person, path: str, media_type: str) -> None:
    poll = owner.make_poll()
    headers = {"Content-Type": media_type} if media_type else {}
    response = owner.request(
        "POST", path.format(**poll), content=json.dumps(NEW_POLL), headers=headers
    )
    assert refusal(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/polls/", "GET, POST"),
        ("DELETE", "/api/v1/polls/", "GET, POST"),
        ("PUT", "/api/v1/polls/{id}/", "GET, PATCH, DELETE"),
        ("POST", "/api/v1/polls/{id}/", "GET, PATCH, DELETE"),
        ("GET", "/api/v1/polls/{id}/votes/", "POST"),
        ("PUT", "/api/v1/polls/{id}/votes/", "POST"),
        ("POST", "/api/v1/polls/{id}/results/", "GET"),
        ("POST", "/api/v1/polls/{id}/votes/me/", "GET, DELETE"),
        ("GET", "/api/v1/polls/{id}/close/", "POST"),
        ("POST", "/api/v1/limits/", "GET"),
        ("GET", "/api/v1/voters/", "POST"),
    ],
)
def test_other_methods_are_refused_with_those_that_work(
    owner: Person, method: str, path: str, allowed: str
) -> None:
    response = owner.request(method, path.format(**owner.make_poll()))
    assert refusal(response) == (405, "method_not_allowed")
    assert set(allowed.split(", ")) <= set(response.headers["allow"].split(", "))


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1/", "/api/v2/polls/", "/api/v1/poll/",
                                  "/api/v1/polls//votes/", "/api/v1/polls/x/y/", "/api/v1/%00/",
                                  "/api/v1/limits/x", "/api/v1/polls/a%2Fb/"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there_is_a_problem_too(outsider: Person, method: str, path: str) -> None:
    response = outsider.request(method, path, json={} if method == "POST" else None)
    assert response.status_code == 404
    assert response.json()["code"] in ("not_found", "poll_not_found")


def test_a_client_that_takes_no_json_gets_406(owner: Person) -> None:
    poll = owner.make_poll()
    html = {"Accept": "text/html"}
    for path in ("/api/v1/polls/", f"/api/v1/polls/{poll['id']}/"):
        assert refusal(owner.get(path, headers=html)) == (406, "not_acceptable")
    for accept in ("*/*", "application/*", "text/html, application/json;q=0.1"):
        assert owner.get("/api/v1/polls/", headers={"Accept": accept}).status_code == 200


HOSTILE_HOSTS = ["evil.example", "localhost.evil.example", "localhost:80:80", "a b", "[::1", ""]


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_another_host_is_refused(owner: Person, host: str) -> None:
    poll = owner.make_poll()
    headers = {"Host": host}
    assert owner.get("/api/v1/limits/", headers=headers).status_code == 400
    for path in ("/api/v1/polls/", f"/api/v1/polls/{poll['id']}/results/"):
        assert refusal(owner.get(path, headers=headers)) == (400, "malformed")
    assert refusal(owner.vote(poll, 1, **headers)) == (400, "malformed")


@pytest.mark.parametrize(
    ("place", "method", "path"),
    [
        ("polls.selectors.get_details", "GET", ""),
        ("polls.api.requests.is_owner", "PATCH", ""),
        ("polls.http.vote.parse_ref", "POST", "votes/"),
        ("polls.http.vote.vote_object", "POST", "votes/"),
        ("polls.http.results.parse_ref", "GET", "results/"),
        ("polls.results.reader.read_polls", "GET", "results/"),
        ("polls.results.reader.read_polls", "GET", "votes/me/"),
    ],
)
def test_a_bug_of_ours_is_a_problem_without_a_trace(
    owner: Person, monkeypatch: pytest.MonkeyPatch, place: str, method: str, path: str
) -> None:
    poll = owner.make_poll()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr(place, fail)
    body = None if method == "GET" else {"choices": [1]}
    response = owner.request(method, f"/api/v1/polls/{poll['id']}/{path}", json=body)
    assert refusal(response) == (500, "server_error")
    assert "secret" not in response.text


@pytest.mark.parametrize("path", ["", "results/", "votes/me/", "votes/"])
def test_without_the_database_the_client_gets_503_and_retry_after(
    owner: Person, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    from django.db import OperationalError

    poll = owner.make_poll()

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("polls.selectors.get_states", fail)
    monkeypatch.setattr("polls.selectors.get_details", fail)
    monkeypatch.setattr("polls.selectors.lock_states", fail)
    method, body = ("POST", {"choices": [1]}) if path == "votes/" else ("GET", None)
    response = owner.request(method, f"/api/v1/polls/{poll['id']}/{path}", json=body)
    assert refusal(response) == (503, "overloaded")
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ["results/", "votes/"])
def test_a_full_box_is_overloaded(
    owner: Person, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    from polls.results.reader import reader
    from polls.voting.ballot_box import ballot_box

    poll = owner.make_poll()
    monkeypatch.setattr(ballot_box, "capacity", 0)
    monkeypatch.setattr(reader, "capacity", 0)
    method, body = ("POST", {"choices": [1]}) if path == "votes/" else ("GET", None)
    response = owner.request(method, f"/api/v1/polls/{poll['id']}/{path}", json=body)
    assert refusal(response) == (503, "overloaded")
    assert response.headers["retry-after"] == "1"


def votes_counted(person: Person, outcome: str) -> float:
    line = f'livepoll_votes_total{{outcome="{outcome}"}} '
    found = re.findall(f"^{re.escape(line)}(.*)$", person.get("/metrics").text, re.MULTILINE)
    return float(found[0]) if found else 0.0


@pytest.mark.parametrize(
    ("place", "value", "outcome"),
    [
        ("polls.voting.ballot_box.ballot_box.capacity", 0, "overloaded"),
        ("polls.voting.committer.record_votes", None, "server_error"),
    ],
)
def test_a_vote_that_we_fail_is_counted_as_that(
    owner: Person, monkeypatch: pytest.MonkeyPatch, place: str, value: Any, outcome: str
) -> None:
    poll = owner.make_poll()
    monkeypatch.setattr(place, value)
    before = votes_counted(owner, outcome)
    assert refusal(owner.vote(poll, 1))[1] == outcome
    assert votes_counted(owner, outcome) == before + 1


def test_prometheus_may_ask_by_any_address(outsider: Person) -> None:
    response = outsider.get("/metrics", headers={"Host": "10.1.2.3:8000"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For", "x-forwarded-for", "X-Forwarded-Proto", "X-Forwarded-Host",
        "X-Forwarded-Server", "X-Real-IP", "Forwarded", "Via", "X-Original-Host", "CDN-Loop",
        "X-Envoy-External-Address", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP",
        "X-Amzn-Trace-Id", "Fastly-SSL",
    ],
)  # fmt: skip
def test_metrics_are_for_no_client_of_a_proxy(outsider: Person, name: str) -> None:
    response = outsider.get("/metrics", headers={name: "192.0.2.1"})
    assert refusal(response) == (404, "not_found")
    assert "livepoll_votes" not in response.text


def test_health_says_that_the_process_lives(outsider: Person) -> None:
    response = outsider.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_readiness_says_how_the_database_and_the_channel_layer_are(outsider: Person) -> None:
    response = outsider.get("/readyz")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ready"
    assert body["database"]["ok"] is True
    assert body["channel_layer"]["ok"] is True


@pytest.fixture
def asked_anew() -> Iterator[None]:
    """What readiness was told before counts for nothing, nor what it is told now."""
    health.checks.forget()
    yield
    health.checks.forget()


@pytest.mark.usefixtures("asked_anew")
def test_a_process_without_its_database_is_not_ready(
    outsider: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        def cursor(self) -> Any:
            raise ConnectionError

    monkeypatch.setattr("livepoll.health.connection", Gone())
    response = outsider.get("/readyz")
    assert response.status_code == 503
    assert (response.json()["status"], response.json()["database"]["ok"]) == ("not ready", False)


@pytest.mark.usefixtures("asked_anew")
def test_a_process_without_its_channel_layer_is_ready(
    outsider: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mute:
        async def group_send(self, *_: Any) -> None:
            raise ConnectionError

    monkeypatch.setattr("livepoll.health.get_channel_layer", Mute)
    response = outsider.get("/readyz")
    assert response.status_code == 200
    assert response.json()["channel_layer"]["ok"] is False


ORIGIN = "https://polls.example"


@pytest.mark.parametrize("path", ["", "results/", "votes/"])
@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_page_of_another_origin_reads_answers_only_where_it_is_allowed(
    owner: Person, settings: Any, path: str, is_allowed: bool
) -> None:
    settings.ALLOWED_ORIGINS = settings.CORS_ALLOWED_ORIGINS = [ORIGIN] if is_allowed else []
    poll = owner.make_poll()
    method, body = ("POST", {"choices": [1]}) if path == "votes/" else ("GET", None)
    response = owner.request(
        method, f"/api/v1/polls/{poll['id']}/{path}", json=body, headers={"Origin": ORIGIN}
    )
    allowed = response.headers.get("access-control-allow-origin")
    assert allowed == (ORIGIN if is_allowed else None)


def test_answers_are_not_sniffed_and_votes_not_stored_by_caches(
    owner: Person, voter: Person
) -> None:
    poll = owner.make_poll()
    answers: Mapping[str, Any] = {
        "vote": voter.vote(poll, 1),
        "results": voter.get(f"/api/v1/polls/{poll['id']}/results/"),
        "poll": voter.get(f"/api/v1/polls/{poll['id']}/"),
    }
    for response in answers.values():
        assert response.headers["x-content-type-options"] == "nosniff"
    assert answers["vote"].headers["cache-control"] == "no-store"


def head_and_get(person: Person, path: str) -> tuple[Json, Json]:
    head, get = (dict(person.request(method, path).headers) for method in ("HEAD", "GET"))
    return head, get


def test_head_answers_like_get(owner: Person) -> None:
    poll = owner.make_poll()
    for path in ("", "results/"):
        head, get = head_and_get(owner, f"/api/v1/polls/{poll['id']}/{path}")
        assert head["content-type"] == get["content-type"]
        assert head.get("etag") == get.get("etag")


def test_voting_and_results_work_below_a_path_prefix(site: Site, owner: Person) -> None:
    async def below_a_prefix(scope: Any, receive: Any, send: Any) -> None:
        from asgi import application

        await application(
            {**scope, "root_path": "/sub", "path": "/sub" + scope["path"]}, receive, send
        )

    poll = owner.make_poll()
    guest = Person(site, below_a_prefix)
    vote = guest.post(f"/api/v1/polls/{poll['id']}/votes/", {"choices": [1]})
    results = guest.get(f"/api/v1/polls/{poll['code']}/results/")
    assert (vote.status_code, results.json()["voters"]) == (201, 1)
    assert len(results.headers.get_list("x-request-id")) == 1


def test_options_says_what_clients_may_know_and_no_docstring(outsider: Person) -> None:
    described = 0
    for place in PLACES:
        response = outsider.request("OPTIONS", place.path)
        if response.headers.get("content-type") != "application/json":
            continue
        described += 1
        assert not re.search(r"\.py|asgi|django|(polls|livepoll)\.", response.text, re.IGNORECASE)
        summaries = set(response.json()["description"].values())
        view = resolve(place.path).func.cls  # type: ignore[attr-defined]
        assert summaries <= {one.summary for one in vars(view).values() if hasattr(one, "summary")}
    assert described > 20
    polls = outsider.request("OPTIONS", "/api/v1/polls/").json()
    assert polls["description"]["POST"] == "Make a poll"
    assert polls["parses"] == ["application/json"]
