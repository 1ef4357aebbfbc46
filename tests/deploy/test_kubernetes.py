"""The Kubernetes manifests: valid by its published schemas, and true to the code they start."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.conf import settings

from livepoll.management.commands import serve
from tests.deploy.test_compose import assert_serves
from tests.test_docs import settings_read

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = MANIFESTS / "kustomization.yaml"
FILES = sorted(path.name for path in MANIFESTS.glob("*.yaml") if path != KUSTOMIZATION)
RELEASES = ("1.28", "1.32", "1.37")
SECRETS = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"}


def load(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((MANIFESTS / name).read_text())
    return parsed


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    parsed = [load(name) for name in load("kustomization.yaml")["resources"]]
    return {manifest["kind"]: manifest for manifest in parsed}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", FILES)
def test_a_manifest_is_valid_and_has_no_unknown_field(name: str, release: str) -> None:
    assert kubernetes_validate.validate(load(name), release, strict=True) == release


def test_the_schemas_find_a_field_that_is_misspelt() -> None:
    deployment = load("deployment.yaml")
    deployment["spec"]["template"]["spec"]["terminationGraceSeconds"] = 30
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGraceSeconds"):
        kubernetes_validate.validate(deployment, RELEASES[-1], strict=True)


def test_every_manifest_is_applied_but_the_example(manifests: dict[str, Any]) -> None:
    assert set(FILES) == {*load("kustomization.yaml")["resources"], "secret.example.yaml"}
    assert len(manifests) == len(FILES) - 1
    assert "Secret" not in manifests


def pods(manifests: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in ("Deployment", "Job"):
        yield manifests[kind]["spec"]["template"]["spec"]


def test_the_pod_is_probed_and_drains(manifests: dict[str, Any]) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    [web] = pod["containers"]
    probes = {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    for name, path in probes.items():
        assert web[f"{name}Probe"]["httpGet"]["path"] == path
        assert web[f"{name}Probe"]["httpGet"]["port"] == web["ports"][0]["name"]
    probe_host = web["readinessProbe"]["httpGet"]["httpHeaders"][0]["value"]
    assert probe_host in manifests["ConfigMap"]["data"]["ALLOWED_HOSTS"].split(",")
    pause = int(web["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = settings.DRAIN_SECONDS + serve.GRACEFUL_SHUTDOWN_SECONDS
    assert pod["terminationGracePeriodSeconds"] > pause + drain
    options = assert_serves(web["args"])
    assert options["no_migrate"]
    assert options["port"] == web["ports"][0]["containerPort"]


def test_every_container_is_shut_in_and_bounded(manifests: dict[str, Any]) -> None:
    [image] = load("kustomization.yaml")["images"]
    assert image["digest"].startswith("sha256:")
    assert "newTag" not in image
    images = {image["name"]}
    for pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001  # as in the image
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert container["image"] in images
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            resources = container["resources"]
            assert set(resources["requests"]) == {"cpu", "memory"}
            assert "memory" in resources["limits"]  # a CPU limit would stall votes


def test_no_secret_stands_in_clear(manifests: dict[str, Any]) -> None:
    plain = manifests["ConfigMap"]["data"]
    assert set(plain) <= set(settings_read()) - SECRETS - {"SECRET_KEY_FALLBACKS"}
    example = load("secret.example.yaml")["stringData"]
    assert set(example) == SECRETS
    assert example["SECRET_KEY"] == ""
    assert all(":password@" in example[name] for name in SECRETS - {"SECRET_KEY"})
    for pod in pods(manifests):
        for container in pod["containers"]:
            assert "env" not in container  # everything comes from the two below
            assert container["envFrom"] == [
                {"configMapRef": {"name": manifests["ConfigMap"]["metadata"]["name"]}},
                {"secretRef": {"name": load("secret.example.yaml")["metadata"]["name"]}},
            ]


def test_everything_selects_the_same_pods(manifests: dict[str, Any]) -> None:
    template = manifests["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    [spread] = template["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels
    assert manifests["Job"]["spec"]["template"]["metadata"]["labels"] != labels
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
    assert target == manifests["Deployment"]["metadata"]["name"]
    assert "replicas" not in manifests["Deployment"]["spec"]


def test_the_way_from_the_ingress_to_the_process_is_whole(manifests: dict[str, Any]) -> None:
    [web] = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    [port] = manifests["Service"]["spec"]["ports"]
    assert port["targetPort"] == web["ports"][0]["name"]
    ingress = manifests["Ingress"]["spec"]
    [rule] = ingress["rules"]
    [path] = rule["http"]["paths"]
    service = {"name": manifests["Service"]["metadata"]["name"], "port": {"name": port["name"]}}
    assert path["backend"]["service"] == service
    assert rule["host"] in manifests["ConfigMap"]["data"]["ALLOWED_HOSTS"].split(",")
    assert [rule["host"]] == ingress["tls"][0]["hosts"]
    scraped = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert scraped["prometheus.io/port"] == str(web["ports"][0]["containerPort"])
