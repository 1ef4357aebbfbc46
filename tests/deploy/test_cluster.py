"""`make cluster`: several processes behind one port, revived when they die, gone on SIGTERM."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from deploy.local_servers import GuardedProcess, free_port, private_folder
from tests.e2e.harness import INHERITED, ROOT, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.servers]

WAYS = [["--no-nginx"], *([[]] if shutil.which("nginx") else [])]


@pytest.fixture
def folder() -> Iterator[Path]:
    with private_folder() as path:
        yield path


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that are free at this moment."""
    for _ in range(50):
        first = free_port()
        taken = {c.laddr.port for c in psutil.net_connections("tcp") if c.laddr}
        if first + count <= 65535 and not taken & set(range(first, first + count)):
            return first
    raise AssertionError("no free ports in a row")


def start(folder: Path, port: int, *arguments: str) -> GuardedProcess:
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return GuardedProcess(
        [sys.executable, "-m", "deploy.cluster", "--data", str(folder / "data"), *arguments],
        log=folder / "cluster.log",
        env=env | {"PORT": str(port), "WEB_PROCESSES": "2"},
        cwd=ROOT,
    )


def listening(port: int) -> int | None:
    """The process id of who listens on the port."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            # None for a moment while the process that listened is being torn down.
            return None if connection.pid is None else int(connection.pid)
    return None


def lives(process: psutil.Process) -> bool:
    """A zombie does not: who should collect it may be a container's lazy first process."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("arguments", WAYS, ids=lambda way: "shared-port" if way else "nginx")
def test_a_cluster_serves_revives_and_ends(arguments: list[str], folder: Path) -> None:
    port = free_ports(3)
    log = folder / "cluster.log"
    cluster = start(folder, port, *arguments)
    try:
        wait_until(
            lambda: "data, logs" in log.read_text() or cluster.returncode is not None,
            what="the cluster is up",
            timeout_secs=60,
        )
        assert cluster.returncode is None, log.read_text()
        base = f"http://127.0.0.1:{port}"
        made = httpx.post(
            f"{base}/api/v1/polls/", json={"question": "?", "options": ["a", "b"]}, trust_env=False
        ).json()
        for own in (port, port + 1, port + 2):
            seen = httpx.get(f"http://127.0.0.1:{own}/api/v1/polls/{made['id']}/", trust_env=False)
            assert seen.json()["question"] == "?"
        assert made["links"]["self"].startswith(base)

        with ExitStack() as screens:
            watching = [
                screens.enter_context(
                    connect(f"ws://127.0.0.1:{own}/ws/polls/{made['id']}/", proxy=None)
                )
                for own in (port, port + 1, port + 2)
            ]
            snapshots = [json.loads(screen.recv(timeout=10)) for screen in watching]
            assert [frame["type"] for frame in snapshots] == ["snapshot"] * 3
            vote = httpx.post(
                f"{base}/api/v1/polls/{made['id']}/votes/", json={"choices": [2]}, trust_env=False
            )
            assert vote.status_code == 201
            for screen in watching:
                frame = json.loads(screen.recv(timeout=10))
                assert (frame["type"], frame["counts"]) == ("results", {"1": 0, "2": 1})

        victim = listening(port + 1)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_until(
            lambda: listening(port + 1) not in (None, victim),
            what="the process is revived",
            timeout_secs=30,
        )
        assert httpx.get(f"{base}/readyz", trust_env=False).status_code == 200
        assert f"web process on {port + 1} ended (-9); started again" in log.read_text()

        family = psutil.Process(cluster.pid).children(recursive=True)
        cluster.send_signal(signal.SIGTERM)
        assert cluster.wait(40) == 0, log.read_text()
        wait_until(lambda: not any(map(lives, family)), what="all its processes are gone")
    finally:
        cluster.stop()


def test_a_port_in_use_is_reported_plainly(folder: Path) -> None:
    port = free_ports(3)
    first = GuardedProcess(
        [sys.executable, "-m", "http.server", str(port + 2), "--bind", "127.0.0.1"],
        log=folder / "http.log",
    )
    cluster = start(folder, port, "--no-nginx")
    try:
        assert cluster.wait(60) == 1
        assert f"Port {port + 2} is in use" in (folder / "cluster.log").read_text()
    finally:
        cluster.stop()
        first.stop()
