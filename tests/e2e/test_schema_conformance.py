"""The running server keeps to its own OpenAPI schema, whatever is sent to it.

Schemathesis makes requests from the schema, valid ones and broken ones, for every
operation: no 500, no undocumented status or media type, every body as declared.
"""

from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.conftest import StartSite

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
Case = schemathesis.Case[Any]

EXAMPLES = 12  # an operation and mode; 60 operations and modes in about half a minute
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
POLLS = (
    {"kind": "single"},
    {"kind": "multiple", "vote_change": True, "voter_policy": "open"},
    {"kind": "ranked", "results_visibility": "after_vote"},
    {"kind": "rating", "min_voters": 2},
    {"kind": "single", "voter_policy": "code"},
    {"kind": "single", "draft": True},
)


def make_polls(http: httpx.Client) -> dict[str, str]:
    """Poll id → owner key; one poll of each sort, votes in some."""
    keys = {}
    for fields in POLLS:
        body = {"question": "?", "options": ["A", "B", "C"]} | fields
        poll = http.post("/api/v1/polls/", json=body).raise_for_status().json()
        keys[poll["id"]] = poll["owner_key"]
        http.post(f"/api/v1/polls/{poll['id']}/votes/", json={"choices": [1]})
    return keys


def modes(operation: Operation) -> list[GenerationMode]:
    """Valid requests, and broken ones where there is something to break."""
    if operation.body or operation.query:
        return [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    return [GenerationMode.POSITIVE]


def requests_for(
    operation: Operation, mode: GenerationMode, polls: dict[str, str]
) -> st.SearchStrategy[tuple[Case, dict[str, str]]]:
    """A request, and the header of who sends it: the poll's owner, or nobody."""
    if "{ref}" not in operation.path:
        return st.tuples(operation.as_strategy(mode), st.just({}))
    return st.sampled_from(sorted(polls)).flatmap(
        lambda ref: st.tuples(
            operation.as_strategy(mode, path_parameters={"ref": ref}),
            st.sampled_from([{"Authorization": f"Bearer {polls[ref]}"}, {}]),
        )
    )


@pytest.mark.timeout(180)
def test_the_server_keeps_to_its_schema(start_site: StartSite) -> None:
    site = start_site()
    failures: list[str] = []
    with httpx.Client(base_url=site.url, trust_env=False) as http, requests.Session() as session:
        session.trust_env = False
        raw = http.get("/api/schema/", headers={"Accept": "application/json"}).json()
        schema = schemathesis.openapi.from_dict(raw)
        operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        assert len(operations) >= 25
        for operation in operations:
            polls = make_polls(http)
            for mode in modes(operation):
                try:
                    try_out(operation, mode, polls, session, site.url)
                except Exception as failure:
                    failures.append(f"{operation.label}, {mode.value}: {failure}")
    assert not failures, "\n\n".join(failures)


def try_out(
    operation: Operation,
    mode: GenerationMode,
    polls: dict[str, str],
    session: requests.Session,
    url: str,
) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests_for(operation, mode, polls))
    def send(request: tuple[Case, dict[str, Any]]) -> None:
        case, headers = request
        response = case.call(base_url=url, session=session, headers=headers)
        case.validate_response(response, checks=CHECKS)

    send()
