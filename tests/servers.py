"""pytest plugin: a real PostgreSQL and Redis for the run, up before Django reads its settings.

`--backend=servers` (the default) starts private ones, or uses DATABASE_URL and REDIS_URL
where those are set. `--backend=embedded` (or LIVEPOLL_TEST_BACKEND=embedded) is livepoll
without any setting: SQLite and the in-process layer; tests marked `servers` are left out, those
without a database, which the other run has had, and in the short form those `above_databases`.
`--fast` is the same with those that have no database, and without all that needs a process, a
browser or the machine for itself.

With `-n` the first process starts both servers, and every worker has databases of its own on
them: pytest-django's in PostgreSQL, the one of its number in Redis. A message goes to a poll's
group by the poll's id, so that no worker hears another.

What a machine lacks is a skip that says so; with CI set every skip is a failure.
"""

import gc
import os
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from deploy.local_servers import PrivatePostgres, PrivateRedis, ServersMissing, private_folder
from tests.sizes import LONG

# What a developer's shell may carry and must not reach the tests.
SETTINGS_NOT_INHERITED = (
    *("ADMIN", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "BALLOT_BOX_BATCH", "BALLOT_BOX_CAPACITY"),
    *("BROADCAST_INTERVAL_MS", "DEBUG", "HEAVY_REQUESTS", "PORT", "RECONCILE_INTERVAL_MS"),
    *("REQUEST_QUEUE", "REQUEST_THREADS"),
    *("SECRET_KEY_FALLBACKS", "TRUSTED_PROXIES", "WEB_PROCESSES"),
)
# What the first process tells its workers: why there are no servers.
SERVERS_MISSING = "LIVEPOLL_TESTS_SERVERS_MISSING"
NOT_FAST = ("servers", "e2e", "chaos", "alone", "slow")
# The files that take a worker more than 20 s; the order alone hangs on this, so a guess will do.
LONGEST_FIRST = (
    *("test_bench.py", "e2e/test_pages.py", "e2e/test_screens.py", "e2e/test_browser.py"),
    *("replay/test_replay_ballots.py", "e2e/test_accessibility.py", "e2e/test_owner_pages.py"),
    *("deploy/test_cluster.py", "e2e/test_deaths.py", "e2e/test_voter_pages.py"),
    *("e2e/test_sign_in.py", "e2e/test_schema_conformance.py", "e2e/test_replay.py"),
    *("test_limits.py", "e2e/test_page_costs.py", "e2e/test_admin.py"),
    *("chaos/test_chaos.py", "chaos/test_outages.py", "chaos/test_floods.py"),
    *("hostile/test_hostile.py", "chaos/test_rolling_restart.py"),
)
TEST_SETTINGS = {"SECRET_KEY": "only-for-tests-" + "x" * 40, "RATE_LIMITS": "off"}


@dataclass
class Backend:
    """What this run stands on."""

    embedded: bool
    fast: bool
    folder: Path
    missing: str = ""
    left_out: int = 0
    stack: ExitStack = field(default_factory=ExitStack)


_DATABASES = {"db", "transactional_db"}
BACKEND = pytest.StashKey[Backend]()


def on_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=("servers", "embedded"),
        default=os.environ.get("LIVEPOLL_TEST_BACKEND") or "servers",
        help="servers: PostgreSQL and Redis (default); embedded: SQLite and in-process",
    )
    parser.addoption(
        "--fast",
        action="store_true",
        help="embedded, without what needs a server process or a browser",
    )


# A wrapper, so that it comes before pytest-django's own, which loads the settings.
@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    gc.disable()  # until all is collected: a third of a worker's start
    options = early_config.known_args_namespace
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    folder = stack.enter_context(private_folder("livepoll-tests-"))
    embedded = options.fast or options.backend == "embedded"
    backend = Backend(embedded=embedded, fast=options.fast, folder=folder, stack=stack)
    early_config.stash[BACKEND] = backend
    for name in SETTINGS_NOT_INHERITED:
        os.environ.pop(name, None)
    os.environ.update(TEST_SETTINGS)
    if not embedded:
        _find_servers(backend)
    if embedded or backend.missing:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'livepoll.sqlite3'}"
        os.environ.pop("REDIS_URL", None)
    # A worker learns of `-p tests.servers` only when Django has read its settings.
    os.environ["PYTEST_PLUGINS"] = __name__
    return (yield)


def _find_servers(backend: Backend) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        backend.missing = os.environ.get(SERVERS_MISSING, "")
        if not backend.missing:
            os.environ["REDIS_URL"] = _redis_of(worker)
        return
    try:
        _start_servers(backend)
    except ServersMissing as missing:
        if on_ci():
            raise pytest.UsageError(str(missing)) from missing
        backend.missing = str(missing)
    os.environ[SERVERS_MISSING] = backend.missing


def _start_servers(backend: Backend) -> None:
    if "DATABASE_URL" not in os.environ:
        # What it holds is worth nothing when the machine dies; tests of that start their own.
        postgres = PrivatePostgres(backend.folder / "postgres", durable=False)
        os.environ["DATABASE_URL"] = backend.stack.enter_context(postgres).url
    if "REDIS_URL" not in os.environ:
        redis = backend.stack.enter_context(PrivateRedis(backend.folder / "redis"))
        os.environ["REDIS_URL"] = redis.url


def _redis_of(worker: str) -> str:
    """The Redis database that is as far from the given one as the worker from the first."""
    parts = urlsplit(os.environ["REDIS_URL"])
    number = int(parts.path.strip("/") or 0) + int(worker.removeprefix("gw"))
    return urlunsplit(parts._replace(path=f"/{number}"))


def pytest_configure(config: pytest.Config) -> None:
    from django.db import connections

    database = connections.databases["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # A file, as in real life: SQLite's in-memory database has no WAL and other locks.
        database["TEST"]["NAME"] = str(config.stash[BACKEND].folder / "test.sqlite3")


def pytest_report_header(config: pytest.Config) -> str:
    backend = config.stash[BACKEND]
    if backend.missing:
        return f"backend: SQLite, in-process; PostgreSQL and Redis are missing: {backend.missing}"
    return f"backend: {'SQLite, in-process' if backend.embedded else 'PostgreSQL, Redis'}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What imports and collection made stays to the end, and the collector need not look at it."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)  # after the random order was drawn, and marks given by folder
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    backend = config.stash[BACKEND]
    if backend.missing:
        for item in items:
            if item.get_closest_marker("servers"):
                item.add_marker(pytest.mark.skip(reason=backend.missing))
    elif backend.embedded:
        wanted = _is_fast if backend.fast else _differs_there
        left_out = [item for item in items if not wanted(item)]
        items[:] = [item for item in items if wanted(item)]
        config.hook.pytest_deselected(items=left_out)
        backend.left_out = len(left_out)
        if hasattr(config, "workeroutput"):
            config.workeroutput["left_out"] = len(left_out)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, bool]:
    """Long files first, and servers before what only computes, so that the workers end together."""
    name = item.location[0].removeprefix("tests/")
    turn = LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)
    return turn, not any(item.get_closest_marker(mark) for mark in ("e2e", "chaos", "slow"))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """xdist's first process hears of its workers what they left out; all have left out the same."""
    node.config.stash[BACKEND].left_out = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    backend = config.stash[BACKEND]
    if backend.left_out:
        why = "slow or in need of servers" if backend.fast else "which need servers, or no database"
        terminalreporter.write_line(f"left out here: {backend.left_out} tests, {why}")


def _is_fast(item: pytest.Item) -> bool:
    return not any(item.get_closest_marker(name) for name in NOT_FAST)


def _differs_there(item: pytest.Item) -> bool:
    """Whether a test can tell SQLite from PostgreSQL: it has a database, and may have this one."""
    fixtures = getattr(item, "fixturenames", ())
    has_database = item.get_closest_marker("django_db") or not _DATABASES.isdisjoint(fixtures)
    left_out = item.get_closest_marker("servers") or (
        item.get_closest_marker("above_databases") and not LONG
    )
    return bool(has_database) and not left_out


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and on_ci() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI allows no skip: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """The run's PostgreSQL; tests that ask for it carry the mark `servers`."""
    return _server_url(request, "DATABASE_URL")


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> str:
    """The run's Redis; tests that ask for it carry the mark `servers`."""
    return _server_url(request, "REDIS_URL")


def _server_url(request: pytest.FixtureRequest, name: str) -> str:
    backend = request.config.stash[BACKEND]
    if backend.missing:
        pytest.skip(backend.missing)
    if backend.embedded:
        pytest.fail("This test needs PostgreSQL and Redis: mark it with pytest.mark.servers.")
    return os.environ[name]
