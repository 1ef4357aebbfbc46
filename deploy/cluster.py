"""Several web processes on this machine, as in production but without Docker: `make cluster`.

PostgreSQL and Redis of its own (or those of DATABASE_URL and REDIS_URL), WEB_PROCESSES
processes of `manage.py serve` on the ports after PORT, and nginx on PORT where it is
installed; else the processes share PORT themselves. Data stays in data/cluster. A process
that dies is started again; Ctrl-C or SIGTERM ends all of them, and so does our own death.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from deploy.local_servers import (
    GuardedProcess,
    PrivatePostgres,
    PrivateRedis,
    ServerFailed,
    ServersMissing,
)
from deploy.nginx_config import local_config
from livepoll.private_files import make_private_folder
from livepoll.secret_key import embedded_secret_key

ROOT = Path(__file__).resolve().parent.parent
READY_DEADLINE_SECS = 60.0
WATCH_INTERVAL_SECS = 0.25
RESTART_PAUSE_SECS = 1.0
MOST_PROCESSES = 64
MOST_PORT = 65535


class ClusterFailed(RuntimeError):
    """It cannot be started; the message says why."""


@dataclass
class Member:
    """One process of the cluster, started again whenever it dies."""

    name: str
    command: list[str]
    log: Path
    env: Mapping[str, str] | None = None
    started_at: float = 0.0
    process: GuardedProcess | None = field(default=None, repr=False)

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = GuardedProcess(self.command, log=self.log, env=self.env, cwd=ROOT)

    def revive(self) -> None:
        """Start it again if it has died and not only just now."""
        if self.process is None or self.process.returncode is None:
            return
        if time.monotonic() - self.started_at < RESTART_PAUSE_SECS:
            return
        say(f"{self.name} ended ({self.process.returncode}); started again, log: {self.log}")
        self.process.stop()  # lets go of what guards it
        self.start()

    def ask_to_end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        if self.process is not None:
            self.process.stop()

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("make cluster", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "cluster", metavar="FOLDER")
    parser.add_argument("--no-nginx", action="store_true", help="share PORT by SO_REUSEPORT")
    options = parser.parse_args(arguments)
    nginx = None if options.no_nginx else shutil.which("nginx")
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with ExitStack() as stack:
            members = start_cluster(options.data.resolve(), nginx, stack, stopping)
            while not stopping.wait(WATCH_INTERVAL_SECS):
                for member in members:
                    member.revive()
            say("Stopping …")
    except (ClusterFailed, ServerFailed, ServersMissing, OSError) as error:
        say(f"make cluster: {error}", file=sys.stderr)
        return 1
    return 0


def start_cluster(
    folder: Path, nginx: str | None, stack: ExitStack, stopping: threading.Event
) -> list[Member]:
    """Start everything and tell where it is; `stack` ends it, the web processes first.

    Args:
        folder: what keeps data, logs and the secret.
        nginx: the program; None lets the web processes share PORT.
    Raises:
        ClusterFailed, ServerFailed, ServersMissing: what is wrong and where to look.
    """
    processes = whole_number("WEB_PROCESSES", 2, MOST_PROCESSES)
    port = whole_number("PORT", 8000, MOST_PORT - processes)
    if folder.is_relative_to(ROOT / "data"):
        make_private_folder(ROOT / "data")
    folder.mkdir(parents=True, exist_ok=True)
    env = {
        **os.environ,
        "DATABASE_URL": os.environ.get("DATABASE_URL") or private_postgres(folder, stack),
        "REDIS_URL": os.environ.get("REDIS_URL") or private_redis(folder, stack),
        "SECRET_KEY": os.environ.get("SECRET_KEY") or embedded_secret_key(folder / "secret_key"),
        "RATE_LIMITS": os.environ.get("RATE_LIMITS") or "off",
        "TRUSTED_PROXIES": "1" if nginx else "0",
    }
    manage("migrate", "--no-input", "-v", "0", env=env)

    ports = range(port + 1, port + 1 + processes)
    members = [web_member(folder, own, None if nginx else port, env) for own in ports]
    if nginx is not None:
        members.append(nginx_member(nginx, folder / "nginx", port, ports))
    stack.callback(end_all, members)
    for member in members:
        member.start()
    for own in (*ports, port):
        wait_until_ready(own, members, stopping)
    if not stopping.is_set():
        print_urls(port, ports, env, "nginx" if nginx else "shared by SO_REUSEPORT")
        say(f"  data, logs  {folder}")
    return members


def private_postgres(folder: Path, stack: ExitStack) -> str:
    return stack.enter_context(PrivatePostgres(reachable(folder / "postgres"))).url


def private_redis(folder: Path, stack: ExitStack) -> str:
    return stack.enter_context(PrivateRedis(folder / "redis")).url


def reachable(folder: Path) -> Path:
    """`folder`, or a lasting one in /tmp where root's PostgreSQL user could not reach it."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in folder.parents):
        return folder
    other = Path(tempfile.gettempdir()) / f"livepoll-cluster-{folder.parent.stat().st_ino}"
    other.mkdir(mode=0o711, exist_ok=True)
    say(f"PostgreSQL cannot run as root, nor others reach {folder}: its data are in {other}")
    return other / "postgres"


def web_member(folder: Path, port: int, shared_port: int | None, env: Mapping[str, str]) -> Member:
    shared = [] if shared_port is None else ["--shared-port", str(shared_port)]
    return Member(
        name=f"web process on {port}",
        command=[
            *(sys.executable, "manage.py", "serve", "--port", str(port), *shared),
            *("--no-migrate", "--no-sample", "-v", "0"),
        ],
        log=folder / f"web-{port}.log",
        env=env,
    )


def nginx_member(program: str, folder: Path, port: int, upstream_ports: range) -> Member:
    folder.mkdir(exist_ok=True)
    config = local_config(folder=folder, port=port, upstream_ports=upstream_ports)
    folder.joinpath("nginx.conf").write_text(config)
    return Member(
        name="nginx",
        command=[program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
        log=folder / "nginx.log",
    )


def wait_until_ready(port: int, members: list[Member], stopping: threading.Event) -> None:
    """Return when the port answers that it takes votes, or when we are told to stop."""
    deadline = time.monotonic() + READY_DEADLINE_SECS
    while not stopping.is_set() and not is_ready(port):
        for member in members:
            if member.process is not None and member.process.returncode is not None:
                raise ClusterFailed(f"{member.name} did not start.\n{member.log_tail()}")
        if time.monotonic() > deadline:
            raise ClusterFailed(f"Port {port} did not get ready.")
        stopping.wait(0.05)


def is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def print_urls(port: int, ports: range, env: Mapping[str, str], how: str) -> None:
    base = f"http://127.0.0.1:{port}"
    say(f"livepoll runs on {base}/ ({how}); stop it with Ctrl-C")
    say(f"  new poll    {base}/new/\n  API docs    {base}/api/docs/")
    for own in ports:
        say(f"  process     http://127.0.0.1:{own}/")
    for name in ("DATABASE_URL", "REDIS_URL"):
        # One that was given may carry a password that is not ours to print.
        say(f"  {name:13} {'as given' if name in os.environ else env[name]}")


def end_all(members: list[Member]) -> None:
    """Ask all at once, then wait for each."""
    for step in (Member.ask_to_end, Member.end):
        for member in members:
            step(member)


def manage(*arguments: str, env: Mapping[str, str]) -> None:
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=env, check=False)
    if done.returncode != 0:
        raise ClusterFailed(f"manage.py {arguments[0]} failed; see above.")


def whole_number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ClusterFailed(f"{name} must be a whole number from 1 to {most}, not {text!r}.")
    return int(text)


def say(text: str, file: TextIO | None = None) -> None:
    print(text, file=file, flush=True)


if __name__ == "__main__":
    sys.exit(main())
