"""The site that is broken on purpose: two web processes, PostgreSQL and Redis of its own,
and a breakable wire from each process to each server."""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from deploy.local_servers import GuardedProcess, PrivatePostgres, PrivateRedis
from tests.chaos.proxy import Wires
from tests.e2e.harness import ROOT, WebProcess, manage, site_env

_NOT_COPIED = {"__pycache__", "data", "test-artifacts", "staticfiles", "tests", "bench", "docs"}


class ServeProcess(WebProcess):
    """`manage.py serve`, as users run it, from any copy of the source tree."""

    def __init__(self, *, root: Path, log: Path, env: Mapping[str, str]) -> None:
        super().__init__(log=log, env=env)
        self.root = root
        self.extra_env: dict[str, str] = {}

    def launch(self) -> Self:
        command = [
            *(sys.executable, "manage.py", "serve", "--no-migrate", "--no-sample"),
            *("--port", str(self.port), "--verbosity", "0"),
        ]
        env = {**self._env, **self.extra_env}
        self._process = GuardedProcess(command, log=self.log, env=env, cwd=self.root)
        return self


class Clock:
    """One process's wall clock, where a C compiler is there to make it movable."""

    def __init__(self, folder: Path, library: Path, name: str) -> None:
        self._file = folder / f"{name}.clock"
        self._library = library
        self.jump(0)

    def jump(self, seconds: float) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET_FILE": str(self._file)}


def build_clock(folder: Path) -> Path | None:
    """The library that moves clocks, or None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "clock_shim.so"
    source = Path(__file__).with_name("clock_shim.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"],
        check=True, capture_output=True,
    )  # fmt: skip
    return library


@dataclass
class Rig:
    """What can be broken."""

    folder: Path
    postgres: PrivatePostgres
    redis: PrivateRedis
    wires: Wires
    webs: list[ServeProcess]
    clocks: list[Clock] = field(default_factory=list)

    @property
    def database_url(self) -> str:
        """Past the wires: for the checker."""
        return self.postgres.url

    @property
    def ports(self) -> list[int]:
        return [web.port for web in self.webs]


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))


@contextmanager
def raised_rig(
    folder: Path,
    *,
    root: Path = ROOT,
    processes: int = 2,
    env: Mapping[str, str] | None = None,
) -> Iterator[Rig]:
    """Everything up and migrated; everything ended and removed afterwards.

    Args:
        folder: below the temporary folder, passable for other users.
        root: the source tree that the web processes run.
    """
    with ExitStack() as stack:
        postgres = stack.enter_context(PrivatePostgres(folder / "postgres"))
        redis = stack.enter_context(PrivateRedis(folder / "redis"))
        manage(
            "migrate", "--skip-checks", "--verbosity=0",
            env=site_env(database_url=postgres.url), log=folder / "migrate.log", root=root,
        )  # fmt: skip
        targets: dict[str, int] = {}
        for number in range(processes):
            targets |= {f"postgres-{number}": postgres.port, f"redis-{number}": redis.port}
        wires = stack.enter_context(Wires(targets))
        library = build_clock(folder)
        rig = Rig(folder, postgres, redis, wires, [])
        for number in range(processes):
            own = site_env(
                database_url=_through(postgres.url, wires.ports[f"postgres-{number}"]),
                redis_url=_through(redis.url, wires.ports[f"redis-{number}"]),
            )
            own["DRAIN_SECONDS"] = "1"  # as it is by default
            if library is not None:
                rig.clocks.append(Clock(folder, library, f"web-{number}"))
                own |= rig.clocks[-1].env
            web = ServeProcess(
                root=root, log=folder / f"web-{number}.log", env=own | dict(env or {})
            )
            rig.webs.append(web)
            stack.callback(web.stop)
        for web in rig.webs:
            web.launch()
        for web in rig.webs:
            web.wait_ready()
        yield rig


@contextmanager
def source_copy(folder: Path) -> Iterator[Path]:
    """A copy of the source tree to change; its virtual environment stays where it is."""
    copy = folder / "source"

    def left_out(inside: str, names: list[str]) -> set[str]:
        unwanted = _NOT_COPIED if Path(inside) == ROOT else {"__pycache__"}
        return {name for name in names if name.startswith(".") or name in unwanted}

    shutil.copytree(ROOT, copy, ignore=left_out)
    yield copy
    shutil.rmtree(copy)
