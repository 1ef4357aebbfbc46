"""The machine under the figures: its cores, who is pinned where, versions, limits."""

import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]
# With more cores than two the database has one of its own; with two it may use both, in
# every run alike: pinned to the load's core it would stand in the way of the client, pinned
# to the server's it would stand in the way of what is measured.
DATABASE_CORES = CORES[2:-1] or CORES
# Redis stands for another host: it never takes time from the process that is measured.
REDIS_CORE = LOAD_CORE
FILE_LIMIT = 60_000

_PACKAGES = (
    *("django", "channels", "channels-redis", "daphne", "djangorestframework", "uvicorn"),
    *("uvloop", "httptools", "websockets", "redis", "psycopg2-binary", "orjson"),
)


@contextmanager
def on_cores(*cores: int) -> Iterator[None]:
    """Processes started inside run on these cores; so does this thread, until the end."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def web_core(number: int) -> int:
    """Where the `number`th web process runs, from 0: the load's core comes last."""
    return CORES[number % len(CORES)]


def raise_file_limit() -> int:
    """As many open files as are allowed, for us and all we start; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (max(hard, FILE_LIMIT), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, OSError):
            continue
        return wanted
    return soft


def with_children(pids: Sequence[int]) -> list[int]:
    """These processes and all that descend from them."""
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found += [pid, *(child.pid for child in process.children(recursive=True))]
        except psutil.NoSuchProcess:
            continue
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that these processes and their children have used so far."""
    total = 0.0
    for pid in with_children(pids):
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def memory_bytes(pid: int) -> tuple[int, int]:
    """Resident and proportional set size of one process."""
    info = psutil.Process(pid).memory_full_info()
    return int(info.rss), int(info.pss)


def describe() -> dict[str, Any]:
    """What a reader must know to compare these figures with other ones."""
    return {
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "uncommitted_changes": bool(_output("git", "status", "--porcelain")),
        "cpu": _cpu_model(),
        "cores": len(CORES),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "load_average_at_start": os.getloadavg(),
        "pinned": {
            "web process": [SERVER_CORE],
            "second web process": [web_core(1)],
            "load client": [LOAD_CORE],
            "database": DATABASE_CORES,
            "redis": [REDIS_CORE],
        },
        "versions": {name: _version(name) for name in _PACKAGES} | _programs(),
    }


def _programs() -> dict[str, str]:
    return {
        "nginx": _output("nginx", "-v").removeprefix("nginx version: "),
        "node": _output("node", "--version"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "missing"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
