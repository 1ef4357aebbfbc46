"""Security events: what is written down, and what never is."""

import logging
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from livepoll.json_log import JSONFormatter
from polls.security_events import Event, report
from tests.limits.conftest import BehindLimits
from tests.limits.test_guessing import GUESSES, PASSWORD, Scene, code_of
from tests.polls.people import Site, refusal

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "security-events.md"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "livepoll.security"]


def count_of(event: Event, detail: str = "") -> float:
    labels = {"event": event.value, "detail": detail}
    return REGISTRY.get_sample_value("livepoll_security_events_total", labels) or 0.0


@pytest.fixture
def unthinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polls.security_events._LINES_A_SECOND", 1000)


def test_what_strangers_and_owners_do_is_written_down_without_secrets(
    site: Site, behind_limits: BehindLimits, caplog: pytest.LogCaptureFixture, unthinned: None
) -> None:
    caplog.set_level(logging.INFO, "livepoll.security")
    scene = Scene(site, behind_limits(RATE_MISSES="3/hour", RATE_PASSWORDS="2/hour"))
    visitor = scene.person()
    for what in GUESSES:
        for number in range(3):
            GUESSES[what][0](scene, visitor, number)
    scene.sign_in(scene.person(2), PASSWORD)
    for number in range(3):
        scene.sign_in(scene.person(2), f"wrong secret {number}")
    scene.owner.act(scene.device, "close")
    elsewhere = visitor.post("/api/v1/voters/", {}, {"Origin": "https://elsewhere.example"})
    assert refusal(elsewhere) == (403, "origin_not_allowed")
    written = "\n".join(lines(caplog))
    found = set(re.findall(r"event=(\w+)", written))
    assert found == {one.value for one in Event} - {Event.CONNECTION_REFUSED.value}
    assert "detail=POST poll-close" in written
    assert "detail=passwords" in written
    secrets = [
        "192.0.2.", "198.51.100.", "vera", PASSWORD, "wrong secret", *scene.codes, code_of(1),
        scene.owner.key_of(scene.device)["Authorization"].removeprefix("Bearer "), "owner_1",
        scene.device["id"], scene.coded["id"], scene.coded["code"],
    ]  # fmt: skip
    assert [secret for secret in secrets if secret.lower() in written.lower()] == []


def test_an_event_is_a_metric_and_a_json_line() -> None:
    before = count_of(Event.CONNECTION_REFUSED, "headers")
    record: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = record.append  # type: ignore[assignment,method-assign]
    logging.getLogger("livepoll.security").addHandler(handler)
    try:
        report(Event.CONNECTION_REFUSED, "headers", address="192.0.2.1")
        report(Event.CONNECTION_REFUSED, "headers", address="192.0.2.1")
    finally:
        logging.getLogger("livepoll.security").removeHandler(handler)
    assert count_of(Event.CONNECTION_REFUSED, "headers") == before + 2
    line, again = (orjson.loads(JSONFormatter().format(one)) for one in record)
    assert line["event"] == "connection_refused"
    assert line["detail"] == "headers"
    assert line["client"] == again["client"]
    assert line["address"] == "192.0.2.1"  # of what is refused before it could ask for anything


def test_a_flood_of_events_writes_few_lines_and_counts_all(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment: list[float] = [1_000_000.0]
    monkeypatch.setattr("polls.security_events.time.monotonic", lambda: moment[0])
    caplog.set_level(logging.INFO, "livepoll.security")
    before = count_of(Event.LIMIT_MET, "votes")
    for _ in range(1000):
        report(Event.LIMIT_MET, "votes", address="192.0.2.1")
    assert len(lines(caplog)) == 10
    moment[0] += 1
    report(Event.LIMIT_MET, "votes", address="192.0.2.1")
    assert lines(caplog)[-1].endswith("left_out=990")
    assert count_of(Event.LIMIT_MET, "votes") == before + 1001


def test_a_flood_of_one_detail_hides_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polls.security_events.time.monotonic", lambda: 2_000_000.0)
    caplog.set_level(logging.INFO, "livepoll.security")
    for _ in range(1000):
        report(Event.CREDENTIAL_MISSED, "join_code", address="192.0.2.1")
    report(Event.CREDENTIAL_MISSED, "owner_key", address="192.0.2.1")
    assert len(lines(caplog)) == 11
    assert "detail=owner_key" in lines(caplog)[-1]


def test_the_document_lists_every_event_and_no_other() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(one.value for one in Event)


def test_the_document_lists_every_limit(settings: Any) -> None:
    from livepoll.attempts import MissLimits
    from livepoll.counters import Counters
    from livepoll.rate_limits import rates

    names = {*rates(), *(one.name for one in MissLimits(Counters("")).all())}
    text = (DOCUMENT.parent / "rate-limits.md").read_text()
    assert set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)) == names
