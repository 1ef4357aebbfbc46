"""Alerts, dashboard and scrape files: they parse, and name only what there is."""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from polls.errors import all_errors
from polls.rules.deciding import Verdict
from tests.deploy.test_compose import COMPOSE
from tests.deploy.test_kubernetes import MANIFESTS
from tests.test_docs import settings_read

MONITORING = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def load(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((MONITORING / name).read_text())
    return parsed


def alerts() -> list[dict[str, Any]]:
    [group] = load("alerts.yml")["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def dashboard() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return parsed


def queries() -> Iterator[tuple[str, str]]:
    """Title and PromQL of every alert, panel and variable."""
    yield from ((rule["alert"], rule["expr"]) for rule in alerts())
    for panel in dashboard()["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


QUERIES = list(queries())


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """Every name that /metrics can show, and the one that Prometheus adds."""
    import_module("polls.metrics")
    import_module("realtime.metrics")
    import_module("livepoll.transport.metrics")
    return {"up"} | {
        f"{metric.name}{suffix}"
        for metric in REGISTRY.collect()
        for suffix in SUFFIXES.get(metric.type, ("",))
    }


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_names_only_metrics_that_there_are(
    exported: set[str], title: str, query: str
) -> None:
    named = set(re.findall(r"\b(?:livepoll_|process_)\w+|\bup\b", query))
    assert named
    assert named <= exported


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_closes_what_it_opens(title: str, query: str) -> None:
    bare = re.sub(r'"[^"]*"', "", query)
    for opened, closed in ("()", "{}", "[]"):
        assert bare.count(opened) == bare.count(closed)
    assert bare.count('"') == 0


def test_every_metric_of_ours_is_on_the_dashboard(exported: set[str]) -> None:
    shown = " ".join(target["expr"] for p in dashboard()["panels"] for target in p["targets"])
    ours = {re.sub(r"_(bucket|sum|count)$", "", n) for n in exported if n.startswith("livepoll_")}
    assert {name for name in ours if name not in shown} == set()


def test_queries_name_only_outcomes_that_votes_have() -> None:
    known = set(Verdict) | {error.code for error in all_errors()}
    named = {
        outcome
        for _, query in QUERIES
        for value in re.findall(r'outcome=~?"([^"]+)"', query)
        for outcome in value.split("|")
    }
    assert named
    assert named <= known


def test_each_alert_says_what_it_means_and_how_bad_it_is() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names) >= 5
    for rule in alerts():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[sm]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_thresholds_follow_the_defaults_of_their_settings() -> None:
    source = (MONITORING.parents[1] / "livepoll" / "settings.py").read_text()

    def default(name: str) -> int:
        assert name in settings_read()
        [value] = re.findall(rf'env\.int\("{name}", default=([\d_]+)\)', source)
        return int(value)

    expressions = {rule["alert"]: rule["expr"] for rule in alerts()}
    waiting = f"livepoll_ballot_box_waiting > {default('BALLOT_BOX_CAPACITY') // 2}"
    assert expressions["LivepollBallotBoxFills"] == waiting
    sockets = f"livepoll_sockets > {default('MAX_SOCKETS') * 8 // 10}"
    assert sockets in expressions["LivepollSocketsNearLimit"]


def test_panels_have_places_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
    assert len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels}) == len(panels)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels)


def test_each_scrape_file_asks_the_processes_as_they_are_started() -> None:
    assert load("prometheus.yml")["rule_files"] == ["alerts.yml"]
    jobs = {}
    for name in ("prometheus.yml", "scrape-compose.yml", "scrape-kubernetes.yml"):
        [jobs[name]] = load(name)["scrape_configs"]
    assert {job["job_name"] for job in jobs.values()} == {"livepoll"}
    [asked] = jobs["scrape-compose.yml"]["dns_sd_configs"]
    assert set(asked["names"]) <= set(yaml.safe_load(COMPOSE.read_text())["services"])
    deployment = yaml.safe_load((MANIFESTS / "deployment.yaml").read_text())
    pod = deployment["spec"]["template"]
    [container] = pod["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [asked["port"]]
    keep = jobs["scrape-kubernetes.yml"]["relabel_configs"][0]
    assert keep["regex"] == pod["metadata"]["labels"]["app.kubernetes.io/component"]
    [found] = jobs["scrape-kubernetes.yml"]["kubernetes_sd_configs"]
    namespace = yaml.safe_load((MANIFESTS / "namespace.yaml").read_text())["metadata"]["name"]
    assert found == {"role": "pod", "namespaces": {"names": [namespace]}}
