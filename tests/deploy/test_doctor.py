"""`check --deploy` refuses weak settings, `doctor` finds what is broken; both say the cure."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from pytest_django.fixtures import Settings

from livepoll import checks, doctor

STRONG: dict[str, Any] = {
    "RATE_LIMITS": True, "TRUSTED_PROXIES": 1, "DATABASE_URL": "", "REDIS_URL": "",
    "ALLOWED_ORIGINS": ["https://example.com"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def strong(settings: Settings, tmp_path: Path) -> None:
    """Settings with which there is nothing to say."""
    for name, value in STRONG.items():
        setattr(settings, name, value)
    settings.DATA_DIR = tmp_path


def deploy_check() -> str:
    """What `manage.py check --deploy` says; it ends with an error exactly where it raises."""
    out = StringIO()
    call_command("check", deploy=True, tags=["security"], stdout=out, stderr=out)
    return out.getvalue()


def test_strong_settings_pass_without_a_word() -> None:
    assert "identified no issues" in deploy_check()


@pytest.mark.parametrize(
    ("name", "value", "code", "cure"),
    [
        ("SECRET_KEY", "x", "E001", "token_urlsafe"),
        ("DEBUG", True, "E002", "Unset DEBUG"),
        ("RATE_LIMITS", False, "E003", "Unset RATE_LIMITS"),
        ("ALLOWED_HOSTS", ["*"], "E004", "List the names"),
        ("ALLOWED_ORIGINS", ["http://example.com"], "E005", "https://"),
        ("DATABASE_URL", "postgres://livepoll@10.0.0.1/livepoll", "E006", "openssl"),
        ("DATABASE_URL", "postgres://livepoll:postgres@10.0.0.1/livepoll", "E006", "openssl"),
        ("REDIS_URL", "redis://10.0.0.1:6379/0", "E007", "openssl"),
    ],
)
def test_a_weak_setting_is_refused_with_its_cure(
    settings: Settings, name: str, value: object, code: str, cure: str
) -> None:
    setattr(settings, name, value)
    with pytest.raises(SystemCheckError) as refused:
        deploy_check()
    assert f"livepoll.{code}" in str(refused.value)
    assert cure in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("SECRET_KEY_FALLBACKS", ["x" * 60], "W001"),
        ("TRUSTED_PROXIES", 0, "W002"),
        ("SECURE_HSTS_SECONDS", 60, "W003"),
    ],
)
def test_what_only_some_set_ups_want_is_a_warning(
    settings: Settings, name: str, value: object, code: str
) -> None:
    setattr(settings, name, value)
    assert f"livepoll.{code}" in deploy_check()


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "secret_key"
    kept.write_text("s")
    kept.chmod(0o640)
    [error] = checks.check_files(None)
    assert error.id == "livepoll.E008"
    assert error.hint == f"chmod 600 {kept}"
    kept.chmod(0o600)
    assert checks.check_files(None) == []


def consult(*arguments: str) -> tuple[int, str]:
    """The exit code and what is printed."""
    out = StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as exit_:
        return int(str(exit_.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db(transaction=True)
class TestDoctor:
    @pytest.fixture(autouse=True)
    def with_servers(self, strong: None, settings: Settings) -> None:
        settings.REDIS_URL = os.environ.get("REDIS_URL", "")

    def test_a_healthy_server_has_a_table_without_a_failure(self) -> None:
        code, table = consult()
        assert code == 0, table
        names = ("settings", "database", "migrations", "redis", "channel layer", "proxy", "clock")
        for name in (*names, "files"):
            assert f"ok    {name}" in table, table

    def test_the_same_for_machines(self) -> None:
        code, text = consult("--json")
        report = json.loads(text)
        assert (code, report["ok"]) == (0, True)
        assert {"name", "state", "detail", "cure"} == set(report["checks"][0])

    def test_a_database_that_is_away_is_a_failure_and_the_rest_is_still_tried(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OperationalError("connection refused\n\tIs the server running?")

        monkeypatch.setattr(connection, "cursor", refuse)
        code, table = consult()
        assert code == 1
        assert "FAIL  database" in table
        assert "connection refused Is the server running?" in table
        assert "DATABASE_URL" in table
        assert "files" in table

    def test_a_migration_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def plan(executor: MigrationExecutor, targets: object) -> list[object]:
            return [(migration, False) for migration in executor.loader.disk_migrations.values()]

        monkeypatch.setattr(MigrationExecutor, "migration_plan", plan)
        code, table = consult()
        assert code == 1
        assert "manage.py migrate" in table
        assert "more" in table

    def test_a_channel_layer_that_brings_nothing_back_is_a_failure(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def lost() -> None:
            raise TimeoutError

        monkeypatch.setattr(doctor, "_round_trip", lost)
        code, table = consult()
        assert code == 1
        assert "FAIL  channel layer" in table

    def test_a_cache_that_forgets_is_a_failure(
        self, monkeypatch: pytest.MonkeyPatch, settings: Settings
    ) -> None:
        if not settings.REDIS_URL:
            monkeypatch.setattr(doctor, "_redis", FakeRedis)
            settings.REDIS_URL = "redis://:secret-of-a-test@127.0.0.1:1/0"
        monkeypatch.setattr(cache, "get", lambda *_: None, raising=False)
        code, table = consult()
        assert code == 1
        assert "forgets" in table


class FakeRedis:
    """What `_redis` gives, where the run has none."""

    def __enter__(self) -> "FakeRedis":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ping(self) -> bool:
        return True

    def time(self) -> tuple[int, int]:
        return int(timezone.now().timestamp()), 0


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (5, "warning"), (3600, "failed")])
def test_a_clock_that_is_off_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, seconds: int, state: str
) -> None:
    settings.REDIS_URL = "redis://:secret-of-a-test@127.0.0.1:1/0"
    off = timedelta(seconds=seconds)

    class Late(FakeRedis):
        def time(self) -> tuple[int, int]:
            moment = (timezone.now() - off).timestamp()
            return int(moment), int(moment % 1 * 1_000_000)

    monkeypatch.setattr(doctor, "_redis", Late)
    monkeypatch.setattr(connection, "vendor", "sqlite")
    [finding] = doctor.check_clock()
    assert (finding.name, finding.state) == ("clock", state)


Answer = Callable[[httpx.Request], httpx.Response]


def through(answer: Answer, url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, doctor.Finding]:
    """The findings of the public address, where a proxy answers so."""
    transport = httpx.MockTransport(answer)

    def client(**options: Any) -> httpx.Client:
        return real(transport=transport, base_url=options["base_url"])

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", client)
    return {finding.name: finding for finding in doctor.check_public_address(url)}


def good(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/metrics":
        return httpx.Response(404)
    if request.headers.get("upgrade") == "websocket":
        return httpx.Response(101)
    return httpx.Response(200, headers={"Strict-Transport-Security": "max-age=31536000"})


def test_a_good_proxy_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = through(good, "https://poll.example.com", monkeypatch)
    assert set(found) == {"public address", "https", "metrics", "sockets"}
    assert {finding.state for finding in found.values()} == {"ok"}


def test_a_server_without_hsts_may_be_behind_https(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SECURE_HSTS_SECONDS = 0
    found = through(without("hsts"), "https://poll.example.com", monkeypatch)
    assert {finding.state for finding in found.values()} == {"ok"}


def without(missing: str) -> Answer:
    """A proxy that forgets one thing."""

    def answer(request: httpx.Request) -> httpx.Response:
        response = good(request)
        if missing == "hsts":
            response.headers.pop("Strict-Transport-Security", None)
        elif missing == "metrics" and request.url.path == "/metrics":
            return httpx.Response(200)
        elif missing == "upgrade" and request.headers.get("upgrade"):
            return httpx.Response(400)
        return response

    return answer


@pytest.mark.parametrize(
    ("missing", "name", "cure"),
    [
        ("hsts", "https", "TRUSTED_PROXIES"),
        ("metrics", "metrics", "X-Forwarded-For"),
        ("upgrade", "sockets", "Upgrade"),
    ],
)
def test_what_a_proxy_forgets_is_found(
    monkeypatch: pytest.MonkeyPatch, missing: str, name: str, cure: str
) -> None:
    found = through(without(missing), "https://poll.example.com", monkeypatch)
    assert found[name].state == "failed"
    assert cure in found[name].cure
    assert sum(finding.state == "failed" for finding in found.values()) == 1
