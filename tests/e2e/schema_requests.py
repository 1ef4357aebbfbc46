"""Requests made from the schema by Schemathesis, and what the server's answers are held to.

No pytest in here: making requests costs more than answering them, so worker processes do it.
Each task returns how many requests it sent, by status, and what was wrong.
"""

import os
import secrets
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from random import Random
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import initialize
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation.stateful.state_machine import APIStateMachine, StepInput, StepOutput
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
Case = schemathesis.Case[Any]
Json = dict[str, Any]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
POLLS: tuple[Json, ...] = (
    {"kind": "single"},
    {"kind": "multiple", "vote_change": True, "voter_policy": "open"},
    {"kind": "ranked", "results_visibility": "after_vote"},
    {"kind": "rating", "min_voters": 2, "vote_change": True},
    {"kind": "single", "voter_policy": "code"},
    {"kind": "single", "draft": True},
)
# They hash a password, a quarter of a second by design: one in ten of the examples of others.
HASHING = ("accounts_token",)
ACCOUNTS = "/api/v1/accounts/"
STEPS = 30  # of one walk along the links


@dataclass
class Sent:
    """What a task sent and found."""

    statuses: Counter[int] = field(default_factory=Counter)
    by_operation: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    walks: int = 0

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def add(self, other: "Sent") -> None:
        self.statuses += other.statuses
        self.by_operation += other.by_operation
        self.failures += other.failures
        self.walks += other.walks


class CountingSession(requests.Session):
    """Counts every answer that comes over the wire."""

    def __init__(self, sent: Sent) -> None:
        super().__init__()
        self.trust_env = False
        self._sent = sent

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        response = super().send(request, **kwargs)
        self._sent.statuses[response.status_code] += 1
        return response


@lru_cache
def schema_of(url: str) -> Any:
    """The site's own schema; links as it declares them, none guessed."""
    answer = requests.get(f"{url}/api/schema/", headers={"Accept": "application/json"}, timeout=30)
    config = SchemathesisConfig.from_dict(
        {"phases": {"stateful": {"inference": {"algorithms": []}}}}
    )
    return schemathesis.openapi.from_dict(answer.json(), config=config)


@lru_cache
def operations_of(url: str) -> dict[str, Operation]:
    """By operation id."""
    found = [one.ok() for one in schema_of(url).get_all_operations() if isinstance(one, Ok)]
    return {one.definition.raw["operationId"]: one for one in found}


def modes(operation: Operation) -> list[GenerationMode]:
    """Valid requests, and broken ones where there is something to break."""
    if operation.body or operation.query:
        return [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    return [GenerationMode.POSITIVE]


def settings_of(examples: int, **more: Any) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def make_poll(session: requests.Session, url: str, fields: Json) -> Json:
    body = {"question": "?", "options": ["A", "B", "C"]} | fields
    answer = session.post(f"{url}/api/v1/polls/", json=body)
    answer.raise_for_status()
    poll: Json = answer.json()
    return poll


def make_polls(session: requests.Session, url: str) -> dict[str, str]:
    """Poll id → owner key; one poll of each sort, votes in some."""
    keys = {}
    for fields in POLLS:
        poll = make_poll(session, url, fields)
        keys[poll["id"]] = poll["owner_key"]
        session.post(f"{url}/api/v1/polls/{poll['id']}/votes/", json={"choices": [1]})
    return keys


def requests_for(
    operation: Operation, mode: GenerationMode, polls: dict[str, str]
) -> st.SearchStrategy[tuple[Case, dict[str, str]]]:
    """A request, and the header of who sends it: the poll's owner, or an anonymous caller."""
    if "{ref}" not in operation.path:
        return st.tuples(operation.as_strategy(mode), st.just({}))
    return st.sampled_from(sorted(polls)).flatmap(
        lambda ref: st.tuples(
            operation.as_strategy(mode, path_parameters={"ref": ref}),
            st.sampled_from([{"Authorization": f"Bearer {polls[ref]}"}, {}]),
        )
    )


def try_out(url: str, name: str, mode: str, examples: int, seed: int) -> Sent:
    """Requests of one operation, each for itself."""
    sent = Sent()
    operation = operations_of(url)[name]
    with CountingSession(sent) as session:
        polls = make_polls(session, url) if "{ref}" in operation.path else {}

        @hypothesis.seed(seed)
        @settings_of(examples)
        @given(requests_for(operation, GenerationMode(mode), polls))
        def send(request: tuple[Case, dict[str, str]]) -> None:
            case, headers = request
            response = case.call(base_url=url, session=session, headers=headers)
            sent.by_operation[f"{name} {response.status_code}"] += 1
            case.validate_response(response, checks=CHECKS)

        _note_failure(sent, f"{name}, {mode}, seed {seed}", send)
    return sent


def walk(url: str, area: str, scenarios: int, seed: int) -> Sent:
    """Walks along the schema's links: through the accounts, or through all the rest."""
    sent = Sent()
    schema: BaseSchema = schema_of(url)
    only_accounts = area == "accounts"
    pick = schema.include if only_accounts else schema.exclude
    with CountingSession(sent) as session:
        machine = walker(pick(path_regex=f"^{ACCOUNTS}"), only_accounts, url, session, sent)

        def go() -> None:
            hypothesis.seed(seed + sent.walks)(machine)
            left = settings_of(scenarios - sent.walks, stateful_step_count=STEPS)
            try:
                machine.run(settings=left)
            except FlakyStrategyDefinition:
                # The same draws met other answers: others use the server too. What was wrong
                # with an answer is noted where it came; here only the rest is left to do.
                if not sent.failures and sent.walks < scenarios:
                    go()

        _note_failure(sent, f"walks, {area}, seed {seed}", go)
    return sent


def _note_failure(sent: Sent, title: str, act: Callable[[], Any]) -> None:
    try:
        act()
    except (Exception, FailureGroup) as failure:
        trace = "".join(traceback.format_exception(failure))
        sent.failures.append(f"{title}:\n{trace[-6000:]}")


def name_of(case: Case) -> str:
    name: str = case.operation.definition.raw["operationId"]
    return name


def ref_of(case: Case) -> str:
    return str(case.path_parameters.get("ref", ""))


def walker(
    schema: BaseSchema, only_accounts: bool, url: str, session: requests.Session, sent: Sent
) -> type[APIStateMachine]:
    """A state machine that keeps what answers gave it: owner keys, tokens, voter codes."""
    declared: Any = schema.as_state_machine()

    class Walker(declared):  # type: ignore[misc]
        def setup(self) -> None:
            self.chance = Random(0)
            self.polls: dict[str, Json] = {}
            self.owner_keys: dict[str, list[str]] = {}
            self.voter_codes: dict[str, list[str]] = {}
            self.voter_tokens: list[str] = []
            self.access_tokens: list[str] = []

        @initialize(seed=st.integers(0, 2**32 - 1))
        def begin(self, seed: int) -> None:
            self.chance = Random(seed)
            sent.walks += 1
            session.cookies.clear()  # a voter of its own
            if not only_accounts:
                self.learn(make_poll(session, url, self.chance.choice(POLLS)), "")

        def step(self, input: StepInput) -> StepOutput:
            try:
                output: StepOutput = super().step(input)
            except (Exception, FailureGroup) as failure:
                sent.failures.append(f"{name_of(input.case)}, along the links: {failure}")
                raise
            return output

        def before_call(self, case: Case) -> None:
            name = name_of(case)
            ref = ref_of(case)
            if ref and ref not in self.polls and self.chance.random() < 0.8:
                case.path_parameters["ref"] = self.chance.choice(sorted(self.polls))
            if isinstance(case.body, dict) and self.chance.random() < 0.7:
                case.body = self.likely_body(name, dict(case.body), ref_of(case))
            credentials = self.credentials(case)
            case.headers.pop("Authorization", None)
            if credentials is not None:
                case.headers["Authorization"] = credentials

        def likely_body(self, name: str, body: Json, ref: str) -> Json:
            """The generated body with fewer reasons for a refusal."""
            if name in ("polls_create", "polls_update"):
                for unlikely in (
                    "closes_at",
                    "duration",
                    "min_choices",
                    "max_choices",
                    "embed_origins",
                ):
                    body.pop(unlikely, None)
                body["voter_policy"] = self.chance.choice(["device", "code", "open"])
                body["vote_change"] = self.chance.random() < 0.7
            elif name == "votes_cast" and ref in self.polls:
                return self.ballot(ref)
            elif name == "voter_codes_create":
                return {"count": self.chance.randint(1, 5)}
            elif name == "voter_codes_revoke":
                return {"numbers": [1]}
            elif name == "accounts_create":
                return {"username": f"u{secrets.token_hex(8)}", "password": secrets.token_hex(8)}
            return body

        def ballot(self, ref: str) -> Json:
            poll = self.polls[ref]
            option = self.chance.choice(poll["options"])["id"]
            ballot: Json = {"choices": [option]}
            if poll["kind"] == "rating":
                ballot = {"ratings": {str(option): self.chance.randint(1, 5)}}
            if self.voter_codes.get(ref):
                ballot["voter_code"] = self.chance.choice(self.voter_codes[ref])
            return ballot

        def credentials(self, case: Case) -> str | None:
            """Who sends this: mostly one who may."""
            schemes = {name for one in case.operation.definition.raw["security"] for name in one}
            known: list[str] = []
            if "ownerKey" in schemes:
                *old, key = ["", *self.owner_keys.get(ref_of(case), [])]
                known += [f"Bearer {key}"] * 5 * bool(key) + [f"Bearer {one}" for one in old if one]
                known += [f"Bearer {one}" for one in self.access_tokens]
            if "voterToken" in schemes:
                known += [f"Voter {one}" for one in self.voter_tokens]
            return self.chance.choice([*known, None])

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"base_url": url, "session": session}

        def after_call(self, response: Response, case: Case) -> None:
            super().after_call(response, case)
            name = name_of(case)
            sent.by_operation[f"{name} {response.status_code}"] += 1
            if response.status_code in (200, 201) and "json" in response.headers["content-type"][0]:
                self.learn(response.json(), ref_of(case))

        def learn(self, body: Json, ref: str) -> None:
            if "options" in body:
                ref = body["id"]
                self.polls[ref] = body
            if "owner_key" in body:
                self.owner_keys.setdefault(ref, []).append(body["owner_key"])
            if body.get("codes") and "code" in body["codes"][0]:
                codes = [one["code"] for one in body["codes"]]
                self.voter_codes.setdefault(ref, []).extend(codes)
            if "voter_token" in body:
                self.voter_tokens.append(body["voter_token"])
            if "access" in body:
                self.access_tokens.append(body["access"])

        def validate_response(self, response: Response, case: Case, **_: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    return Walker


class Workers:
    """Processes that send requests: as many as there are processors, up to four."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(
            min(4, os.cpu_count() or 1), mp_context=get_context("spawn")
        )
        self._tasks: list[Future[Sent]] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self, task: Callable[..., Sent], *arguments: Any) -> None:
        self._tasks.append(self._pool.submit(task, *arguments))

    def done(self) -> Iterator[Sent]:
        """What each of the tasks found, as they end."""
        tasks, self._tasks = self._tasks, []
        for task in as_completed(tasks):
            yield task.result()
