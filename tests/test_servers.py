"""The ground the tests stand on: which database, and servers that can be hurt and come back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis
from django.conf import settings
from django.db import connection

from deploy.local_servers import PrivatePostgres, PrivateRedis, private_folder
from tests.servers import LONGEST_FIRST


def test_the_files_that_go_first_exist() -> None:
    here = Path(__file__).parent
    assert [name for name in LONGEST_FIRST if not (here / name).exists()] == []


@pytest.mark.django_db
def test_the_database_is_the_one_that_the_run_is_named_after() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 + 1")
        assert cursor.fetchone() == (2,)
    assert (connection.vendor == "postgresql") == settings.DATABASE_URL.startswith("postgres://")


@pytest.mark.servers
def test_postgresql_has_room(postgres_url: str) -> None:
    [(most,)] = _execute(postgres_url, "SELECT current_setting('max_connections')")
    assert int(str(most)) >= 200


@pytest.mark.servers
def test_redis_answers(redis_url: str) -> None:
    assert os.environ["REDIS_URL"] == redis_url
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping() is True


@pytest.mark.servers
def test_postgresql_keeps_what_was_committed_through_kill_and_freeze() -> None:
    with private_folder() as folder, PrivatePostgres(folder / "postgres") as postgres:
        url = postgres.create_database("ours")
        writes = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        assert _execute(url, writes) == [("on", "on")]
        _execute(url, "CREATE TABLE kept AS SELECT 7 AS number")

        postgres.kill()
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(url)
        postgres.start()
        assert _execute(url, "SELECT number FROM kept") == [(7,)]

        postgres.pause()
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(url, connect_timeout=2)
        postgres.resume()
        assert _execute(url, "SELECT number FROM kept") == [(7,)]

        copy = postgres.create_database("copy", template="ours")
        postgres.restart()
        assert _execute(copy, "SELECT number FROM kept") == [(7,)]


@pytest.mark.servers
def test_redis_comes_back_on_the_same_port_and_empty() -> None:
    with private_folder() as folder, PrivateRedis(folder / "redis") as server:
        before = server.url
        with redis.Redis.from_url(server.url) as client:
            client.set("key", "value")
        server.kill()
        server.start()
        assert server.url == before
        with redis.Redis.from_url(server.url) as client:
            assert client.get("key") is None


@pytest.mark.servers
def test_servers_end_with_the_process_that_started_them() -> None:
    script = """
import os, signal, sys
from pathlib import Path
from deploy.local_servers import PrivatePostgres, PrivateRedis
folder = Path(sys.argv[1])
servers = PrivatePostgres(folder / "postgres").start(), PrivateRedis(folder / "redis").start()
print(*(server.pid for server in servers), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with private_folder() as folder:
        killed = subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        for pid in killed.stdout.split():
            _wait_until_gone(int(pid))


def _execute(url: str, sql: str) -> list[tuple[object, ...]]:
    server = psycopg2.connect(url)
    try:
        with server, server.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        server.close()


def _wait_until_gone(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        # Where no process collects orphans they stay as zombies; waiting for those never ends.
        while process.status() != psutil.STATUS_ZOMBIE:
            psutil.wait_procs([process], timeout=0.05)
    except psutil.NoSuchProcess:
        return
