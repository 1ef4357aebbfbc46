"""The rig itself: processes that start, die, come back and are seen by a browser."""

import signal
import sqlite3
import sys
from pathlib import Path

import httpx
import psycopg2
import pytest

from deploy.local_servers import GuardedProcess, PrivatePostgres, PrivateRedis
from tests.e2e.conftest import PHONE, OpenPage, StartSite
from tests.e2e.harness import NotReady, Server, Site, wait_until

TINY = "tests.e2e.tiny_app:application"


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_a_process_starts_dies_and_comes_back_on_its_port(tmp_path: Path, server: Server) -> None:
    url = f"sqlite:///{tmp_path / 'none.sqlite3'}"
    with Site(tmp_path, database_url=url, processes=2, server=server, app=TINY) as site:
        assert httpx.get(f"{site[1].url}/database").text == url
        assert site[0].kill() == -signal.SIGKILL
        with pytest.raises(httpx.ConnectError):
            httpx.get(site[0].url)
        assert httpx.get(site[0].restart().url).status_code == 200
        site[1].pause()
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(site[1].url, timeout=0.3)
        site[1].resume()
        assert httpx.get(site[1].url).status_code == 200
    assert not any(process.running for process in site.processes)


def test_a_process_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    site = Site(tmp_path, database_url="sqlite:///x", app="tests.e2e.no_such_module:application")
    with pytest.raises(NotReady, match="no_such_module"):
        site.__enter__()


async def test_a_browser_sees_the_page(start_site: StartSite, open_page: OpenPage) -> None:
    site = start_site("embedded", database_url="sqlite:///x", app=TINY)
    page = await open_page(site.url, **PHONE)
    assert await page.title() == "tiny"
    assert await page.evaluate("window.innerWidth") == PHONE["viewport"]["width"]


def test_a_program_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local_servers.guarded_process.STOP_DEADLINE_SECS", 0.3)
    log = tmp_path / "log"
    script = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""
    process = GuardedProcess([sys.executable, "-c", script], log=log)
    wait_until(lambda: "deaf" in log.read_text(), what="the program is deaf to SIGTERM")
    assert process.stop() == -signal.SIGKILL


@pytest.mark.servers
def test_each_site_has_a_fresh_migrated_database(start_site: StartSite) -> None:
    sites = start_site(app=TINY, processes=2), start_site("embedded", app=TINY)
    urls = [httpx.get(f"{process.url}/database").text for site in sites for process in site]
    assert urls == [sites[0].database_url] * 2 + [sites[1].database_url]
    connections = psycopg2.connect(urls[0]), sqlite3.connect(urls[2].removeprefix("sqlite:///"))
    for connection in connections:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM django_migrations")
        assert cursor.fetchone()[0] > 0
        connection.close()


@pytest.mark.servers
def test_a_site_can_stand_on_a_postgresql_of_its_own(
    start_site: StartSite, own_postgres: PrivatePostgres, own_redis: PrivateRedis
) -> None:
    site = start_site(app=TINY, database_url=own_postgres.url, redis_url=own_redis.url)
    own_postgres.kill()
    assert httpx.get(f"{site.url}/database").text == own_postgres.restart().url
