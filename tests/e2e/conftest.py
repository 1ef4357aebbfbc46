"""What end-to-end and chaos tests ask for: sites of real processes, and a real browser.

Every test in this folder is marked `e2e`. When one fails, its servers' logs stand in the
report, and logs and screenshots lie in test-artifacts/.
"""

import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from deploy.local_servers import (
    PrivatePostgres,
    PrivateRedis,
    create_database,
    private_folder,
)
from tests.e2e.harness import ROOT, Site, manage, site_env
from tests.ensure_browser import find_chromium
from tests.servers import BACKEND

ARTIFACTS = ROOT / "test-artifacts"
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SITES = pytest.StashKey[list[Site]]()
FAILED = pytest.StashKey[bool]()
FIGURE = "figure"
SiteBackend = Literal["servers", "embedded"]


class Figure(Protocol):
    """Note a measured figure, to be printed at the end of the run, whether or not it passes."""

    def __call__(self, text: str, /) -> None: ...


class StartSite(Protocol):
    """Start a site; every argument of Site, but the folder, may be given."""

    def __call__(self, backend: SiteBackend = "servers", **options: Any) -> Site: ...


class OpenPage(Protocol):
    """Open a page in a fresh browser context (own cookies); takes Playwright's options."""

    def __call__(self, url: str, **context_options: Any) -> Awaitable[Page]: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(on_the_sessions_loop, append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for site in item.stash.get(SITES, []):
            for process in site.processes:
                title = f"{process.log.name}, {process.server} on port {process.port}"
                report.sections.append((title, process.log_tail()))
                _keep(item, process.log)
    return report


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """A function that notes a measured figure for the end of the run."""

    def note(text: str) -> None:
        request.node.user_properties.append((FIGURE, text))  # reports bring it from the workers

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = [
        str(text)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, text in report.user_properties
        if name == FIGURE
    ]
    if figures:
        terminalreporter.section("what pages took")
        for line in figures:
            terminalreporter.line(line)


def _artifact(item: pytest.Item, name: str) -> Path:
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', item.nodeid)}-{name}"


def _keep(item: pytest.Item, file: Path) -> None:
    if file.exists():
        shutil.copy(file, _artifact(item, file.name))


@pytest.fixture(scope="session")
def servers_template(request: pytest.FixtureRequest) -> str:
    """The name of a migrated PostgreSQL database to copy: a copy takes 30 ms, migrating 2 s."""
    request.getfixturevalue("postgres_url")
    name = f"template_{uuid.uuid4().hex[:12]}"
    url = create_database(os.environ["DATABASE_URL"], name)
    folder = request.config.stash[BACKEND].folder
    manage(
        "migrate",
        "--skip-checks",
        "--verbosity=0",
        env=site_env(database_url=url),
        log=folder / "migrate.log",
    )
    return name


@pytest.fixture(scope="session")
def embedded_template(request: pytest.FixtureRequest) -> Path:
    """A migrated SQLite database to copy."""
    folder = request.config.stash[BACKEND].folder
    path = folder / "template.sqlite3"
    env = site_env(database_url=f"sqlite:///{path}")
    manage(
        "migrate", "--skip-checks", "--verbosity=0", env=env, log=folder / "migrate-embedded.log"
    )
    return path


@pytest.fixture
def servers_database(servers_template: str) -> str:
    """The URL of a fresh, migrated PostgreSQL database."""
    name = f"site_{uuid.uuid4().hex[:12]}"
    return create_database(os.environ["DATABASE_URL"], name, template=servers_template)


@pytest.fixture
def embedded_database(embedded_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh, migrated SQLite database."""
    return _sqlite_copy(embedded_template, tmp_path)


def _sqlite_copy(template: Path, folder: Path) -> str:
    """The URL of a copy of a SQLite database, in `folder`."""
    path = folder / "site.sqlite3"
    source, target = sqlite3.connect(template), sqlite3.connect(path)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    return f"sqlite:///{path}"


@pytest.fixture
def own_redis() -> Iterator[PrivateRedis]:
    """A Redis of this test's own, to kill and freeze."""
    with private_folder() as folder, PrivateRedis(folder / "redis") as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL of this test's own, to kill and freeze; its `url` is a migrated database."""
    with private_folder() as folder, PrivatePostgres(folder / "postgres") as server:
        env = site_env(database_url=server.url)
        manage("migrate", "--skip-checks", "--verbosity=0", env=env, log=folder / "migrate.log")
        yield server


@pytest.fixture
def start_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartSite]:
    """A function that starts a Site on a fresh database; all are stopped after the test.

    `start_site(processes=2)` is two Uvicorns on PostgreSQL and Redis,
    `start_site("embedded", server="daphne")` one Daphne on SQLite and in-process.
    """
    node: pytest.Item = request.node
    sites = node.stash.setdefault(SITES, [])
    with ExitStack() as stack:

        def start(backend: SiteBackend = "servers", **options: Any) -> Site:
            if "database_url" not in options:
                options["database_url"] = request.getfixturevalue(f"{backend}_database")
            if "redis_url" not in options and backend == "servers":
                options["redis_url"] = request.getfixturevalue("redis_url")
            folder = tmp_path / f"site-{len(sites) + 1}"
            folder.mkdir()
            site = Site(folder, **options)
            sites.append(site)
            return stack.enter_context(site)

        yield start


@pytest.fixture(scope="session")
def _site_to_share(
    embedded_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("shared-site")
    with Site(folder, database_url=_sqlite_copy(embedded_template, folder)) as site:
        yield site


@pytest.fixture
def shared_site(request: pytest.FixtureRequest, _site_to_share: Site) -> Site:
    """One Uvicorn on SQLite, started once: for tests that look at polls of their own only."""
    request.node.stash.setdefault(SITES, []).append(_site_to_share)
    return _site_to_share


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser's program; without one the test is skipped, and fails on CI."""
    path = find_chromium()
    if path is None:
        pytest.skip("needs Chromium: python -m tests.ensure_browser")
    return path


# The driver takes half a second to start and belongs to one event loop: that of the session.
on_the_sessions_loop = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    """The run's one Chromium, headless and with an empty profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path, args=CHROMIUM_FLAGS
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The run's Chromium; what a test opens in it is closed after the test."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[OpenPage]:
    """A function that opens a page: `await open_page(site.url + "/new/", **PHONE)`.

    Each page has cookies of its own. When the test fails, a screenshot of each page and
    what it wrote to the console are kept.
    """
    pages: list[tuple[Page, list[str]]] = []

    async def open_(url: str, **context_options: Any) -> Page:
        context = await browser.new_context(**context_options)
        page = await context.new_page()
        console: list[str] = []
        page.on("console", lambda message: console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: console.append(f"uncaught: {error}"))
        pages.append((page, console))
        await page.goto(url)
        return page

    yield open_

    if request.node.stash.get(FAILED, False):
        for number, (page, console) in enumerate(pages, start=1):
            if not page.is_closed():
                await page.screenshot(path=_artifact(request.node, f"page-{number}.png"))
            _artifact(request.node, f"page-{number}.log").write_text("\n".join(console))
