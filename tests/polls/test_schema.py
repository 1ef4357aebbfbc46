"""/api/schema/ and /api/docs/"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.urls import get_resolver
from drf_spectacular.generators import SchemaGenerator
from openapi_spec_validator import validate

from livepoll.doc_pages import OneAtATime
from tests.polls.people import Json, Person


@pytest.fixture
def schema(outsider: Person) -> Json:
    response = outsider.get("/api/schema/", {"Accept": "application/json"})
    assert response.status_code == 200
    found: Json = response.json()
    return found


def test_the_schema_is_valid_openapi_3_1(schema: Json) -> None:
    assert schema["openapi"].startswith("3.1.")
    validate(schema)


def test_casting_a_vote_is_declared_with_its_errors(schema: Json) -> None:
    operation = schema["paths"]["/api/v1/polls/{ref}/votes/"]["post"]
    responses = operation["responses"]
    codes = {
        code
        for response in responses.values()
        for code in re.findall(r"`(\w+)`", response["description"])
    }
    assert {"200", "201"} <= set(responses)
    assert codes >= {
        "malformed", "voter_required", "invalid_token", "invalid_voter_code", "poll_not_found",
        "poll_not_open", "poll_closed", "already_voted", "too_large", "unsupported_media_type",
        "invalid_option", "too_few_choices", "too_many_choices", "duplicate_choices",
        "rate_limited", "overloaded",
    }  # fmt: skip
    parameters = {parameter["name"] for parameter in operation["parameters"]}
    assert parameters == {"ref", "Idempotency-Key"}


def test_every_operation_has_a_name_a_summary_and_known_security(schema: Json) -> None:
    schemes = set(schema["components"]["securitySchemes"])
    operations = [one for path in schema["paths"].values() for one in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"]
        assert {name for one in operation["security"] for name in one} <= schemes
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]


def test_a_new_poll_leads_to_all_that_can_be_done_with_it(schema: Json) -> None:
    of_a_poll = {
        operation["operationId"]
        for path, operations in schema["paths"].items()
        for operation in operations.values()
        if path.startswith("/api/v1/polls/{ref}/")
    }
    links = schema["paths"]["/api/v1/polls/"]["post"]["responses"]["201"]["links"]
    assert set(links) == of_a_poll - {"voter_codes_revoke"}  # for which codes must be made first
    for target, link in links.items():
        assert link["operationId"] == target
        assert link["parameters"] == {"ref": "$response.body#/id"}
        assert ("Bearer" in link["description"]) == ("(owner)" in link["description"])


def test_every_link_gives_parameters_that_its_operation_takes(schema: Json) -> None:
    operations = {
        operation["operationId"]: operation
        for path in schema["paths"].values()
        for operation in path.values()
    }
    links = [
        link
        for operation in operations.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) > 60
    for link in links:
        target = operations[link["operationId"]]
        taken = {one["name"] for one in target.get("parameters", [])}
        assert {name.rpartition(".")[2] for name in link.get("parameters", {})} <= taken
        assert link["description"].startswith(target["summary"])
        assert "requestBody" in target or "requestBody" not in link


def test_every_path_of_the_api_is_in_the_schema(schema: Json) -> None:
    def walk(patterns: Any, prefix: str) -> Any:
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns, path)
            else:
                yield "/" + path.replace("<str:ref>", "{ref}")

    routed = set(walk(get_resolver().url_patterns, ""))
    assert {path for path in routed if path.startswith("/api/v1/")} == set(schema["paths"])


def test_a_poll_is_described_as_it_is_shown(schema: Json, owner: Person, voter: Person) -> None:
    shapes = schema["components"]["schemas"]
    poll = owner.make_poll()
    assert set(shapes["Poll"]["properties"]) == set(poll)
    vote = voter.vote(poll, 1).json()
    assert set(shapes["VoteAnswer"]["properties"]) == set(vote)
    assert set(shapes["RecordedVote"]["required"]) <= set(vote["vote"])
    assert set(shapes["Results"]["required"]) <= set(vote["results"])


def test_schemas_are_made_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    within: list[int] = []
    together: list[int] = []

    def make(_: SchemaGenerator) -> Json:
        within.append(1)
        together.append(len(within))
        time.sleep(0.02)
        within.pop()
        return {}

    monkeypatch.setattr(SchemaGenerator, "get_schema", make)
    with ThreadPoolExecutor(3) as threads:
        generator = OneAtATime()  # type: ignore[no-untyped-call]
        made = [threads.submit(generator.get_schema) for _ in range(3)]
    assert [one.result() for one in made] == [{}, {}, {}]
    assert together == [1, 1, 1]


def test_the_schema_is_made_once(outsider: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    first = outsider.get("/api/schema/")
    monkeypatch.setattr(OneAtATime, "get_schema", None)
    again = outsider.get("/api/schema/")
    assert (again.status_code, again.content) == (200, first.content)


LOADED = re.compile(r"""(?:src|href)=["']([^"']+)""")


def test_the_documentation_works_without_the_internet(outsider: Person) -> None:
    page = outsider.get("/api/docs/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    loaded = LOADED.findall(page.text)
    assert len(loaded) >= 4
    for address in loaded:
        assert re.match(r"/(?!/)", address)
        asset = outsider.get(address)
        assert (asset.status_code, bool(asset.content)) == (200, True), address


def test_yaml_is_served_to_those_who_ask_for_nothing(outsider: Person) -> None:
    response = outsider.get("/api/schema/")
    assert response.headers["content-type"].startswith("application/vnd.oai.openapi")
    assert response.text.startswith("openapi: 3.1.")
