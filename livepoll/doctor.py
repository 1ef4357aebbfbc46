"""What `manage.py doctor` tries: each check is one function that says how it went.

Nothing is changed but a key in the cache and a message in the channel layer, both of this
command's own.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.cache import cache
from django.core.checks import ERROR, CheckMessage, run_checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from redis import Redis

from livepoll.checks import exposed_files, secret_files
from polls.models import Poll

State = Literal["ok", "warning", "failed"]

_TIMEOUT_SECONDS = 5.0
_SLOW_MS = 250.0
CLOCK_WARNING_SECONDS = 2.0
CLOCK_FAILURE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table; `cure` says what to do where `state` is not ok."""

    name: str
    state: State
    detail: str
    cure: str = ""


class Failed(Exception):
    """A check that did not pass, in words for an operator."""

    def __init__(self, detail: str, cure: str) -> None:
        super().__init__(detail)
        self.detail, self.cure = detail, cure


Check = Callable[[], Iterator[Finding]]


def examine(url: str = "") -> list[Finding]:
    """Run every check; with the `url` that clients use, those of the way to this server too."""
    checks: list[tuple[str, Check, str]] = [
        ("settings", check_settings, "Set what is missing; docs/operations.md has all of them."),
        ("database", check_database, "Is it up, and DATABASE_URL right?"),
        ("migrations", check_migrations, "manage.py migrate"),
        ("redis", check_redis, "Is it up, and REDIS_URL right?"),
        ("channel layer", check_channel_layer, "REDIS_URL's user may PUBLISH, SUBSCRIBE, EVAL?"),
        ("proxy", check_proxy_settings, ""),
        ("clock", check_clock, "Run a time service (chrony, systemd-timesyncd) on each machine."),
        ("files", check_files, "They must belong to the user that runs the server."),
    ]
    if url:
        checks.append(("public address", lambda: check_public_address(url), "Does it answer?"))
    return [finding for name, check, cure in checks for finding in _run(name, check, cure)]


def _run(name: str, check: Check, cure: str) -> Iterator[Finding]:
    try:
        yield from check()
    except Failed as failure:
        yield Finding(name, "failed", failure.detail, failure.cure)
    except Exception as error:  # any failure is a finding, and the other checks go on
        detail = " ".join(str(error).split())[:200]
        yield Finding(name, "failed", f"{type(error).__name__}: {detail}", cure)


def _timed(name: str, detail: str, started: float) -> Finding:
    ms = (time.perf_counter() - started) * 1000
    if ms > _SLOW_MS:
        return Finding(name, "warning", f"{detail}, {ms:.0f} ms", "Far away, or overloaded?")
    return Finding(name, "ok", f"{detail}, {ms:.1f} ms")


def check_settings() -> Iterator[Finding]:
    """`check --deploy`, one row a message."""
    checked: list[CheckMessage] = run_checks(include_deployment_checks=True, tags=["security"])
    messages = [message for message in checked if not message.is_silenced()]
    for message in messages:
        state: State = "failed" if message.level >= ERROR else "warning"
        yield Finding("settings", state, f"{message.msg} ({message.id})", message.hint or "")
    if not messages:
        yield Finding("settings", "ok", "nothing weak")


def check_database() -> Iterator[Finding]:
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        yield _timed("database", connection.vendor, started)
        if connection.vendor == "postgresql":
            cursor.execute("SELECT current_setting('transaction_read_only')")
            if cursor.fetchone() == ("on",):
                raise Failed(
                    "it takes no writes: a replica, or default_transaction_read_only",
                    "Point DATABASE_URL at the primary.",
                )
        else:
            cursor.execute("PRAGMA journal_mode")
            [mode] = cursor.fetchone()
            if mode != "wal":
                raise Failed(f"journal_mode is {mode}, not wal", "Put the file on a local disk.")


def check_migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""
        raise Failed(f"not applied: {names}{more}", "manage.py migrate")
    Poll.objects.exists()  # what the migrations say is there, is there
    yield Finding("migrations", "ok", "all applied")


def check_redis() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        yield Finding("redis", "ok", "none: everything in this one process")
        return
    started = time.perf_counter()
    with _redis() as redis:
        redis.ping()
    yield _timed("redis", "answers", started)
    key = f"doctor:{time.time_ns()}"
    cache.set(key, [1, "two"], 10)
    if cache.get(key) != [1, "two"]:
        raise Failed("the cache forgets what was just written", "maxmemory, or REDIS_URL's rights?")
    cache.delete(key)


def _redis() -> Redis:
    client: Redis = Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
    )
    return client


def check_channel_layer() -> Iterator[Finding]:
    started = time.perf_counter()
    async_to_sync(_round_trip)()
    yield _timed("channel layer", "a message came back", started)


async def _round_trip() -> None:
    layer = get_channel_layer()
    group, message = f"livepoll.doctor.{time.time_ns()}", {"type": "doctor"}
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await layer.group_send(group, message)
            await layer.receive(channel)
    finally:
        await layer.group_discard(group, channel)
        if hasattr(layer, "flush") and settings.REDIS_URL:
            await layer.flush()


def check_proxy_settings() -> Iterator[Finding]:
    """What can be said without asking through the proxy; `--url` asks through it."""
    trusted = settings.TRUSTED_PROXIES
    yield Finding("proxy", "ok", f"TRUSTED_PROXIES={trusted}; --url https://… asks through them")


def check_clock() -> Iterator[Finding]:
    """This machine's clock beside the database's and Redis's: polls open and close by it."""
    others: list[tuple[str, datetime]] = []
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            others.append(("the database", cursor.fetchone()[0]))
    if settings.REDIS_URL:
        with _redis() as redis:
            seconds, microseconds = redis.time()
        moment = datetime.fromtimestamp(seconds, tz=UTC)
        others.append(("Redis", moment + timedelta(microseconds=microseconds)))
    if not others:
        yield Finding("clock", "ok", "no other clock to compare with")
    for name, moment in others:
        yield _clock_finding(name, abs((timezone.now() - moment).total_seconds()))


def _clock_finding(name: str, seconds: float) -> Finding:
    detail = f"{seconds:.2f} s from {name}'s"
    if seconds < CLOCK_WARNING_SECONDS:
        return Finding("clock", "ok", detail)
    state: State = "failed" if seconds >= CLOCK_FAILURE_SECONDS else "warning"
    return Finding("clock", state, detail, "Run a time service (chrony) on both machines.")


def check_files() -> Iterator[Finding]:
    exposed = list(exposed_files())
    for file, mode in exposed:
        yield Finding("files", "failed", f"{file} has mode {mode:o}", f"chmod 600 {file}")
    kept = list(secret_files())
    if not exposed:
        names = ", ".join(file.name for file in kept)
        yield Finding("files", "ok", f"{names}: 600" if kept else "none are kept here")


def check_public_address(url: str) -> Iterator[Finding]:
    """Ask as a client would: does the proxy pass on what the server needs?"""
    is_https = url.startswith("https://")
    with httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, follow_redirects=False) as http:
        page = http.get("/")
        if page.status_code != 200:
            raise Failed(
                f"/ answers {page.status_code}", "Is the name in ALLOWED_HOSTS, the proxy right?"
            )
        yield Finding("public address", "ok", f"/ answers 200 on {url}")
        if is_https and not settings.SECURE_HSTS_SECONDS:
            yield Finding("https", "ok", "HSTS_SECONDS=0: whether the server sees it is not tried")
        elif is_https and "Strict-Transport-Security" not in page.headers:
            yield Finding(
                "https", "failed", "the server does not know that the client uses https",
                "TRUSTED_PROXIES counts the proxies, and they set X-Forwarded-Proto?",
            )  # fmt: skip
        elif is_https:
            yield Finding("https", "ok", "seen by the server, HSTS is sent")
        else:
            yield Finding(
                "https", "warning", "none", "Let a proxy end TLS: tokens go over the wire."
            )
        yield _metrics_finding(http.get("/metrics").status_code)
        yield _upgrade_finding(http)
        if "date" in page.headers:
            moment = datetime.strptime(page.headers["date"], "%a, %d %b %Y %H:%M:%S GMT")
            moment = moment.replace(tzinfo=UTC)
            yield _clock_finding(
                "the public address", abs((timezone.now() - moment).total_seconds())
            )


def _metrics_finding(status: int) -> Finding:
    if status == 200:
        return Finding(
            "metrics", "failed", "/metrics is public", "The proxy must set X-Forwarded-For."
        )
    return Finding("metrics", "ok", f"/metrics answers {status} to the public")


def _upgrade_finding(http: httpx.Client) -> Finding:
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "bGl2ZXBvbGwgZG9jdG9yIQ==",
    }  # fmt: skip
    with http.stream("GET", "/ws/polls/no-such-poll/", headers=upgrade) as response:
        status = response.status_code
    if status == 101:
        return Finding("sockets", "ok", "the upgrade passes")
    return Finding(
        "sockets", "failed", f"an upgrade answers {status}",
        "The proxy passes Upgrade and Connection on for /ws/, over HTTP/1.1?",
    )  # fmt: skip


def facts(findings: list[Finding]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "ok": all(finding.state != "failed" for finding in findings),
        "checks": [
            {"name": one.name, "state": one.state, "detail": one.detail, "cure": one.cure}
            for one in findings
        ],
    }
