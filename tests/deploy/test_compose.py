"""The container files: valid by their schemas, and true to the code they start."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from deploy.nginx_config import TEMPLATE
from livepoll.management.commands import serve
from tests.test_docs import example_names
from tests.test_imports import packages

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
# Of .env.example what is Compose's own, or is settled by the image.
NOT_FOR_THE_PROCESS = {
    "POSTGRES_PASSWORD", "REDIS_PASSWORD", "PORT", "WEB_PROCESSES", "LIVEPOLL_IMAGE", "STATIC_ROOT",
}  # fmt: skip


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return parsed


def assert_serves(command: list[str]) -> dict[str, Any]:
    """The options of a `manage.py serve` command line, as the command reads them."""
    assert command[:3] == ["python", "manage.py", "serve"]
    parser = serve.Command().create_parser("manage.py", "serve")
    options = vars(parser.parse_args(command[3:]))
    assert options["host"] == "0.0.0.0"  # noqa: S104 (inside a container)
    assert options["port"] == 8000
    return options


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.compose-spec", ["docker-compose.yml"]),
        ("vendor.github-workflows", sorted(map(str, (ROOT / ".github/workflows").iterdir()))),
    ],
    ids=["compose", "workflows"],
)
def test_the_files_are_valid_by_their_published_schema(schema: str, files: list[str]) -> None:
    paths = [str(ROOT / file) for file in files]
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, *paths])
    assert done.exit_code == 0, done.output


def test_there_are_two_web_processes_behind_nginx(services: dict[str, Any]) -> None:
    assert set(services) == {"nginx", "web", "migrate", "postgres", "redis"}
    assert services["web"]["deploy"]["replicas"] == "${WEB_PROCESSES:-2}"
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]


def test_each_lasting_service_has_a_health_check_and_is_waited_for(
    services: dict[str, Any],
) -> None:
    for name in ("nginx", "web", "postgres", "redis"):
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    waits = services["web"]["depends_on"]
    assert waits["migrate"]["condition"] == "service_completed_successfully"
    assert waits["postgres"]["condition"] == waits["redis"]["condition"] == "service_healthy"
    assert services["nginx"]["depends_on"]["web"]["condition"] == "service_healthy"


def test_no_secret_has_a_default(services: dict[str, Any]) -> None:
    names = ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD")
    used = re.findall(rf"\$\{{({'|'.join(names)})\b([^}}]*)\}}", COMPOSE.read_text())
    assert {name for name, _ in used} == set(names)
    assert all(rest.startswith(":?") for _, rest in used)
    example = (ROOT / ".env.example").read_text().splitlines()
    assert {f"{name}=" for name in names} <= set(example)
    assert services["web"]["environment"]["DEBUG"] == "0"


def test_every_setting_of_the_example_reaches_the_processes(services: dict[str, Any]) -> None:
    for name in ("web", "migrate"):
        assert set(services[name]["environment"]) == example_names() - NOT_FOR_THE_PROCESS


def test_named_volumes_are_declared(services: dict[str, Any]) -> None:
    volumes = {services[name]["volumes"][0].split(":")[0] for name in ("postgres", "redis")}
    assert volumes == set(yaml.safe_load(COMPOSE.read_text())["volumes"])


def test_the_containers_start_the_server_as_it_is_started(services: dict[str, Any]) -> None:
    options = assert_serves(services["web"]["command"])
    assert options["no_migrate"]
    assert options["no_sample"]
    image = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert_serves(yaml.safe_load(image[-1]))
    grace = int(services["web"]["stop_grace_period"].removesuffix("s"))
    assert grace > serve.GRACEFUL_SHUTDOWN_SECONDS


def test_the_shipped_nginx_template_gets_what_it_needs(services: dict[str, Any]) -> None:
    nginx = services["nginx"]
    needed = set(re.findall(r"\$\{(\w+)\}", TEMPLATE.read_text()))
    assert needed == set(nginx["environment"])
    for volume in nginx["volumes"]:
        assert (ROOT / volume.split(":")[0]).is_file()


def test_the_image_has_every_room_and_nothing_else() -> None:
    assert "\nCOPY . .\n" in DOCKERFILE
    ignored = (ROOT / ".dockerignore").read_text()
    let_in = set(re.findall(r"^!(\S+)$", ignored, re.MULTILINE))
    assert let_in == packages() | {"requirements.txt", "asgi.py", "manage.py", "LICENSE"}
    assert "\n*\n" in ignored


def test_every_image_is_named_by_digest(services: dict[str, Any]) -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    images += [services[name]["image"] for name in ("nginx", "postgres", "redis")]
    assert len(images) == 5
    for image in images:
        assert re.fullmatch(r"[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}", image), image


def test_every_container_is_shut_in(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        places = service.get("tmpfs", ["/tmp:"] if name == "redis" else [])
        assert any(place.startswith("/tmp:") for place in places), name
        if name not in ("web", "migrate"):  # their image says it: test below
            assert service["user"] == {"nginx": "nginx"}.get(name, name)


def test_redis_wants_its_password_and_shows_it_in_no_list_of_processes(
    services: dict[str, Any],
) -> None:
    redis = services["redis"]
    assert "requirepass $$REDISCLI_AUTH" in redis["command"][-1]
    assert redis["environment"]["REDISCLI_AUTH"].startswith("${REDIS_PASSWORD:?")
    assert services["web"]["environment"]["REDIS_URL"].startswith("redis://:${REDIS_PASSWORD:?")


def test_the_steps_of_workflows_are_named_by_commit() -> None:
    steps = [
        step
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert len(steps) >= 3
    for step in steps:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]), step
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_image_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001"]
    assert DOCKERFILE.count("\nFROM ") == 2
    assert "\nHEALTHCHECK " in DOCKERFILE
