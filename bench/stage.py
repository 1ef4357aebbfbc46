"""What a measurement stands on: databases, Redis and web processes, started and pinned here.

Everything is private, on loopback, and gone at the end. PostgreSQL keeps fsync on.
"""

import asyncio
import gc
import shutil
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import httpx
import uvloop

from bench import machine
from bench.report import Report
from deploy.local_servers import PrivatePostgres, PrivateRedis, private_folder
from tests.e2e.harness import Server, WebProcess, manage, site_env

Backend = Literal["postgresql", "sqlite"]
Result = TypeVar("Result")
OPTIONS = ["Red", "Green", "Blue", "Yellow"]
MEASUREMENT_DEADLINE_SECS = 600
# As `manage.py serve` runs it; a backlog that takes thousands of screens at once.
ARGUMENTS: dict[Server, tuple[str, ...]] = {
    "uvicorn": (
        *("--loop", "uvloop", "--http", "httptools", "--backlog", "4096"),
        *("--log-level", "warning", "--no-access-log", "--no-proxy-headers", "--no-server-header"),
        *("--ws-per-message-deflate", "false"),
        *("--ws-ping-interval", "40", "--timeout-keep-alive", "75"),
    ),
    "daphne": ("--verbosity", "0"),
}


# Its own protocol classes, which another application does without.
OURS = ("asgi:application", "bench.slow_app:application")
BOUNDED = ("--http", "asgi:BoundedHTTP", "--ws", "asgi:BoundedSocket")


@dataclass(frozen=True)
class Sizes:
    """How much of everything: for figures, with --quick or --smallest to see that all works."""

    sockets: int = 1_000
    many_sockets: int = 5_000
    most_sockets: int = 10_000
    rooms: tuple[int, ...] = (2_000, 20_000)
    exported_votes: int = 300_000
    phones: int = 5_000
    phone_screens: int = 200
    plain_phones: tuple[int, ...] = (10, 30, 100, 300, 1_000)
    seconds: float = 5.0
    idle_seconds: float = 30.0
    repeats: int = 3
    voters: int = 64
    many_voters: int = 256
    polls: int = 100
    preloaded_votes: int = 5_000_000
    ballots: int = 100_000
    memory_votes: int = 360_000
    memory_rounds: int = 40
    warm_up_seconds: float = 1.0
    turns_a_repeat: int = 2  # each is as much shorter
    single_votes: int = 60
    pgbench_seconds: float = 3.0  # it counts whole ones, and connecting hundreds takes one
    plain_rates: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100)

    @classmethod
    def quick(cls) -> "Sizes":
        return cls(
            sockets=100, many_sockets=300, most_sockets=500, rooms=(300,), phones=200,
            exported_votes=20_000, phone_screens=20, plain_phones=(10,), seconds=1.0,
            idle_seconds=2.0, repeats=1, many_voters=128, preloaded_votes=20_000, ballots=2_000,
            memory_votes=5_000,
        )  # fmt: skip

    @classmethod
    def smallest(cls) -> "Sizes":
        """What the tests run, for every case and no figure."""
        return cls(
            sockets=10, many_sockets=20, most_sockets=30, rooms=(20,), phones=10,
            exported_votes=2_000, phone_screens=3, plain_phones=(3,), seconds=0.4,
            idle_seconds=0.2, repeats=1, voters=4, many_voters=8, polls=3, preloaded_votes=300,
            ballots=100, memory_votes=400, memory_rounds=4, warm_up_seconds=0.1, turns_a_repeat=1,
            single_votes=3, pgbench_seconds=1.0,
            plain_rates=(10,),
        )  # fmt: skip

    def changed(self, **given: Any) -> "Sizes":
        """The same with what is given, where it is not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})


class Running:
    """Web processes that run, and what is needed to use and to watch them."""

    def __init__(
        self, processes: Sequence[WebProcess], api: httpx.Client, env: Mapping[str, str]
    ) -> None:
        self.processes = processes
        self.api = api
        self.env = env

    @property
    def ports(self) -> list[int]:
        return [process.port for process in self.processes]

    @property
    def port(self) -> int:
        return self.processes[0].port

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def create_poll(self, **fields: Any) -> str:
        """Create a poll over REST and return its id."""
        body = {"question": "Which colour?", "options": OPTIONS} | fields
        answer = self.api.post("/api/v1/polls/", json=body)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def results(self, poll_id: str) -> dict[str, Any]:
        answer = self.api.get(f"/api/v1/polls/{poll_id}/results/")
        answer.raise_for_status()
        tally: dict[str, Any] = answer.json()
        return tally


class Stage:
    """Starts what is asked for, once, and ends it all. A context manager."""

    def __init__(self, report: Report, sizes: Sizes) -> None:
        self.report = report
        self.sizes = sizes
        self._stack = ExitStack()
        self._databases = 0

    def __enter__(self) -> Self:
        self.folder = self._stack.enter_context(private_folder("livepoll-bench-"))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a load client to its end, on an event loop of its own, without the collector."""

        async def bounded() -> Result:
            async with asyncio.timeout(MEASUREMENT_DEADLINE_SECS):
                return await work

        gc.collect()
        gc.disable()
        try:
            return uvloop.run(bounded())
        finally:
            gc.enable()

    @cached_property
    def postgres(self) -> PrivatePostgres:
        with machine.on_cores(*machine.DATABASE_CORES):
            server = self._stack.enter_context(PrivatePostgres(self.folder / "postgres"))
        manage("migrate", env=site_env(database_url=server.url), log=self.folder / "migrate.log")
        return server

    @cached_property
    def redis(self) -> PrivateRedis:
        with machine.on_cores(machine.REDIS_CORE):
            return self._stack.enter_context(PrivateRedis(self.folder / "redis"))

    @cached_property
    def _sqlite_template(self) -> Path:
        path = self.folder / "template.sqlite3"
        env = site_env(database_url=f"sqlite:///{path}")
        manage("migrate", env=env, log=self.folder / "migrate.log")
        return path

    @cached_property
    def _plain_template(self) -> str:
        url = self.postgres.create_database("plain")
        manage("migrate", "--run-syncdb", env=self._plain_env(url), log=self.folder / "migrate.log")
        return "plain"

    def _plain_env(self, database_url: str) -> dict[str, str]:
        env = site_env(database_url=database_url, redis_url=self.redis.url)
        return env | {"DJANGO_SETTINGS_MODULE": "bench.plain.settings"}

    def new_database(self, backend: Backend = "postgresql") -> str:
        """The URL of a fresh, migrated database."""
        self._databases += 1
        name = f"bench_{self._databases}"
        if backend == "postgresql":
            return self.postgres.create_database(name, template="livepoll")
        shutil.copy(self._sqlite_template, self.folder / f"{name}.sqlite3")
        return f"sqlite:///{self.folder / name}.sqlite3"

    @contextmanager
    def livepoll(
        self,
        *,
        backend: Backend = "postgresql",
        database_url: str | None = None,
        processes: int = 1,
        server: Server = "uvicorn",
        env: Mapping[str, str] | None = None,
        app: str = "asgi:application",
        also_on: Sequence[int] = (),
    ) -> Iterator[Running]:
        """Livepoll on PostgreSQL and Redis, or as the embedded default."""
        redis_url = self.redis.url if backend == "postgresql" else None
        settings = site_env(
            database_url=database_url or self.new_database(backend), redis_url=redis_url
        )
        with self.app(app, env=settings | dict(env or {}), server=server,
                      processes=processes, also_on=also_on) as running:  # fmt: skip
            yield running

    @contextmanager
    def plain(self) -> Iterator[Running]:
        """The plain baseline on Daphne, PostgreSQL and the core Redis layer."""
        self._databases += 1
        url = self.postgres.create_database(
            f"plain_{self._databases}", template=self._plain_template
        )
        env = self._plain_env(url)
        with self.app("bench.plain.asgi:application", env=env, server="daphne") as running:
            yield running

    @contextmanager
    def app(
        self,
        app: str,
        *,
        env: Mapping[str, str],
        server: Server = "uvicorn",
        processes: int = 1,
        also_on: Sequence[int] = (),
        ready_path: str = "/healthz",
    ) -> Iterator[Running]:
        """Any ASGI application, each process on a core of its own, the load's last, and on
        those given."""
        folder = self.folder / f"site-{time.monotonic_ns()}"
        folder.mkdir()
        arguments = ARGUMENTS[server]
        if server == "uvicorn" and app in OURS:
            arguments += BOUNDED
        web = [
            WebProcess(
                log=folder / f"web-{number}.log",
                env=env,
                server=server,
                app=app,
                arguments=arguments,
                ready_path=ready_path,
            )
            for number in range(processes)
        ]
        try:
            for number, process in enumerate(web):
                with machine.on_cores(machine.web_core(number), *also_on):
                    process.launch()
            for process in web:
                process.wait_ready()
            with httpx.Client(base_url=web[0].url, timeout=60, trust_env=False) as api:
                yield Running(web, api, env)
        except Exception as error:
            for process in web:
                error.add_note(f"{process.log.name}:\n{process.log_tail(25)}")
            raise
        finally:
            for process in web:
                process.stop()
