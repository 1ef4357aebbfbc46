"""`manage.py serve` as a newcomer meets it: a copy of the code, no setting, no data."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local_servers import GuardedProcess, free_port
from tests.e2e.harness import INHERITED, ROOT, wait_until
from tests.test_imports import packages

pytestmark = pytest.mark.e2e

CODE = ("asgi.py", "manage.py", *sorted(packages()))

Start = Callable[..., GuardedProcess]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The code alone in an empty folder, so that the embedded default's data are fresh."""
    for name in CODE:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.fixture
def serve(checkout: Path) -> Iterator[Start]:
    """A function that starts `serve` there without any setting; output goes to serve.log."""
    started: list[GuardedProcess] = []

    def start(*arguments: str) -> GuardedProcess:
        (checkout / "serve.log").unlink(missing_ok=True)
        started.append(
            GuardedProcess(
                [sys.executable, "manage.py", "serve", *arguments],
                log=checkout / "serve.log",
                env={name: os.environ[name] for name in INHERITED if name in os.environ},
                cwd=checkout,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()


def announced(checkout: Path) -> str:
    """Where it says that it runs, once it does."""
    log = checkout / "serve.log"
    wait_until(lambda: "API docs" in log.read_text(), what="the welcome", timeout_secs=60)
    found = re.search(r"livepoll runs on (http://127\.0\.0\.1:\d+)/", log.read_text())
    assert found is not None, log.read_text()
    return found[1]


def test_the_first_start_has_a_poll_to_see_and_kill_9_loses_nothing(
    serve: Start, checkout: Path
) -> None:
    process = serve("--port", "0")
    url = announced(checkout)
    log = (checkout / "serve.log").read_text()
    [poll] = httpx.get(f"{url}/api/v1/polls/", trust_env=False).json()["results"]
    assert f"vote       {url}/p/{poll['code']}/" in log
    assert f"dashboard  {url}/p/{poll['code']}/live/" in log
    vote = httpx.post(poll["links"]["votes"], json={"choices": [6]}, trust_env=False)
    assert vote.status_code == 201
    process.kill()

    serve("--port", "0")
    url = announced(checkout)
    results = httpx.get(f"{url}/api/v1/polls/{poll['id']}/results/", trust_env=False).json()
    assert results["voters"] == 8977
    assert results["counts"]["6"] == 37


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked_to(number: signal.Signals, serve: Start, checkout: Path) -> None:
    process = serve("--port", "0", "--no-sample")
    url = announced(checkout)
    assert httpx.get(f"{url}/api/v1/polls/", trust_env=False).json()["results"] == []
    process.send_signal(number)
    assert process.wait(10) == 0
    assert "Traceback" not in (checkout / "serve.log").read_text()


def test_a_port_in_use_is_reported_plainly(serve: Start, checkout: Path) -> None:
    serve("--port", "0", "--no-sample")
    port = announced(checkout).rpartition(":")[2]
    second = serve("--port", port)
    assert second.wait(30) == 1
    log = (checkout / "serve.log").read_text()
    assert f"Port {port} is in use" in log
    assert "Traceback" not in log


def test_processes_share_a_port(serve: Start, checkout: Path) -> None:
    shared = str(free_port())
    serve("--port", "0", "--shared-port", shared, "--no-sample")
    announced(checkout)
    serve("--port", "0", "--shared-port", shared, "--no-sample", "--no-migrate")
    announced(checkout)
    assert httpx.get(f"http://127.0.0.1:{shared}/healthz", trust_env=False).status_code == 200
