"""Livepoll as its users run it: real server processes, on free ports, over one fresh database.

No pytest in here, so that benchmarks and scripts can use it as well. Nothing sleeps
blindly: readiness is `GET /healthz` answering 200 before a deadline.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import httpx

from deploy.local_servers import GuardedProcess, free_port
from tests.sizes import sized

ROOT = Path(__file__).resolve().parent.parent.parent
READY_DEADLINE_SECS = 30.0
POLL_INTERVAL_SECS = 0.02
Server = Literal["uvicorn", "daphne"]

# For tests that hash many passwords and measure none; the long form hashes as a server does.
QUICK_PASSWORDS = sized(short="tests.e2e.quick_passwords:application", long="asgi:application")

# Nothing else of the caller's environment reaches a server process.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "COVERAGE_PROCESS_START")


class NotReady(RuntimeError):
    """A process ended or did not answer in time; the message ends with its log."""


def wait_until(check: Callable[[], bool], *, what: str, timeout_secs: float = 10) -> None:
    """Ask again and again until `check` says yes.

    Raises:
        TimeoutError: it did not within `timeout_secs`; the message says `what` was awaited.
    """
    deadline = time.monotonic() + timeout_secs
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {timeout_secs} s: {what}")
        time.sleep(POLL_INTERVAL_SECS)


class WebProcess:
    """One `uvicorn` or `daphne` process, on the same port through every restart."""

    def __init__(
        self,
        *,
        log: Path,
        env: Mapping[str, str],
        server: Server = "uvicorn",
        app: str = "asgi:application",
        arguments: Sequence[str] = (),
        ready_path: str = "/healthz",
    ) -> None:
        self.log = log
        self.server = server
        self.app = app
        self.port = free_port()
        self._arguments = arguments
        self._env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._env |= {**env, "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        self._ready_path = ready_path
        self._process: GuardedProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def launch(self) -> Self:
        """Start the process without waiting for it."""
        command = {
            "uvicorn": [
                *("uvicorn", self.app, "--host", "127.0.0.1", "--port", str(self.port)),
                *("--ws", "websockets-sansio", "--no-access-log"),
            ],
            "daphne": ["daphne", "-b", "127.0.0.1", "-p", str(self.port), self.app],
        }[self.server]
        self._process = GuardedProcess(
            [sys.executable, "-m", *command, *self._arguments],
            log=self.log,
            env=self._env,
            cwd=ROOT,
        )
        return self

    def wait_ready(self) -> Self:
        """Wait until it answers 200 on its ready path.

        Raises:
            NotReady: it ended, or did not answer within READY_DEADLINE_SECS.
        """
        deadline = time.monotonic() + READY_DEADLINE_SECS
        answer = "no answer"
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as client:
            while time.monotonic() < deadline and self.running:
                try:
                    response = client.get(self._ready_path)
                except httpx.TransportError as problem:
                    answer = repr(problem)
                else:
                    if response.status_code == 200:
                        return self
                    answer = f"{response.status_code} {response.text[:200]}"
                time.sleep(POLL_INTERVAL_SECS)
        raise NotReady(
            f"{self.server} on port {self.port} is not ready ({answer}).\n{self.log_tail()}"
        )

    def start(self) -> Self:
        """Launch and wait until ready."""
        return self.launch().wait_ready()

    def stop(self) -> int:
        """SIGTERM, then wait for the end; returns the exit code. 0 when it does not run."""
        process, self._process = self._process, None
        return process.stop(signal.SIGTERM) if process else 0

    def kill(self) -> int:
        """kill -9, and wait for the end."""
        process, self._process = self._process, None
        return process.kill() if process else 0

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        self._running().signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw it after `pause`."""
        self._running().signal_all(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM without waiting: to watch how it drains."""
        self._running().send_signal(signal.SIGTERM)

    def restart(self) -> Self:
        """Stop if it runs, then start on the same port."""
        self.stop()
        return self.start()

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _running(self) -> GuardedProcess:
        if self._process is None:
            raise RuntimeError(f"{self.server} on port {self.port} is not running.")
        return self._process


class Site:
    """Some web processes that share one database (and one Redis, if given).

    A context manager: all processes start together, and stop together at the end.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        redis_url: str | None = None,
        processes: int = 1,
        server: Server | Sequence[Server] = "uvicorn",
        app: str = "asgi:application",
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.env = site_env(database_url=database_url, redis_url=redis_url) | dict(env or {})
        servers = [server] * processes if isinstance(server, str) else list(server)
        self.processes = [
            WebProcess(
                log=folder / f"web-{number}.log",
                env=self.env,
                server=kind,
                app=app,
                arguments=arguments,
            )
            for number, kind in enumerate(servers, start=1)
        ]

    def __enter__(self) -> Self:
        try:
            for process in self.processes:
                process.launch()
            for process in self.processes:
                process.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[WebProcess]:
        return iter(self.processes)

    def __getitem__(self, index: int) -> WebProcess:
        return self.processes[index]

    @property
    def url(self) -> str:
        """The first process, without a slash at the end."""
        return self.processes[0].url

    @property
    def ws_url(self) -> str:
        return self.processes[0].ws_url

    def stop(self) -> None:
        """Stop every process that runs."""
        for process in self.processes:
            process.stop()


def site_env(*, database_url: str, redis_url: str | None = None) -> dict[str, str]:
    """The settings of a web process or management command under test."""
    env = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": "only-for-tests-" + "x" * 40,
        "RATE_LIMITS": "off",
        "DRAIN_SECONDS": "0",  # nothing in front of these processes has to notice
    }
    if redis_url:
        env["REDIS_URL"] = redis_url
    return env


def manage(
    *arguments: str,
    env: Mapping[str, str],
    log: Path,
    timeout_secs: float = 120,
    root: Path = ROOT,
) -> None:
    """Run a management command of the source tree `root` to its end.

    Raises:
        RuntimeError: it failed; the message ends with its output.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    command = [sys.executable, "manage.py", *arguments]
    process = GuardedProcess(command, log=log, env=inherited | dict(env), cwd=root)
    if process.wait(timeout_secs) != 0:
        raise RuntimeError(f"manage.py {' '.join(arguments)} failed.\n{log.read_text()}")
