"""Honest voters and screens, first alone, then beside hostile clients, held to every promise.

The server has the first core, all clients the last one. Votes and screens are the chaos run's
crowd and its checker; each honest connection comes from an address of its own, as phones do, and
the limits are on.
"""

import asyncio
import random
import secrets
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
import psutil

from bench.machine import LOAD_CORE, REDIS_CORE, SERVER_CORE, on_cores
from deploy.local_servers import GuardedProcess, PrivatePostgres, PrivateRedis, free_port
from deploy.nginx_config import local_config
from tests.chaos.crowd import ANSWER_TIMEOUT_SECS, Theme
from tests.chaos.proxy import Wires
from tests.chaos.rig import Rig, ServeProcess
from tests.chaos.run import Config, Report, Session
from tests.e2e.harness import ROOT, manage, site_env, wait_until
from tests.hostile.clients import SHARES

THEMES = [
    Theme("single", 0.5, screens=0.6),
    Theme("changing", 0.2, {"kind": "multiple", "max_choices": 3, "vote_change": True},
          screens=0.2),
    Theme("closing", 0.1, is_closed_at_times=True, screens=0.1),
    Theme("hidden", 0.2, {"results_visibility": "owner"}, screens=0.1),
]  # fmt: skip
ACCOUNT = "hostile-target"
_WINDOWS = 10  # of a phase; a shared disk stalls in some of them
_BEAT_SECS = 0.01
_MEMORY_STOP_MIB = 4_000  # memory without a bound: the run ends before the machine does


@dataclass(frozen=True)
class Plan:
    """How long and how hard; seconds of the quiet and of the hostile phase."""

    seed: int
    quiet_secs: float
    hostile_secs: float
    connections: int
    rate: float
    screens: int
    nginx: bool = False
    kinds: Sequence[str] = tuple(SHARES)


@dataclass
class Outcome:
    """What came of it."""

    plan: Plan
    report: Report
    quiet: list[float]
    hostile: list[float]
    seen: Counter[str]
    memory_mib: list[int]
    tracebacks: int
    log_lines: int
    stopped: bool = False
    windows: dict[str, list[float]] = field(default_factory=dict)
    lags: dict[str, list[float]] = field(default_factory=dict)

    def statuses(self) -> Counter[str]:
        """Every status that a hostile client was answered."""
        found: Counter[str] = Counter()
        for name, number in self.seen.items():
            status = name.rpartition(" ")[2]
            if status.isdigit():
                found[status] += number
        return found

    def failures(self) -> list[str]:
        """Everything but times: those depend on the machine."""
        found = [f"{one.rule}: {one.what}" for one in self.report.violations]
        found += [
            f"{number} times {status} to a hostile client"
            for status, number in self.statuses().items()
            if status.startswith("5") and status != "503"
        ]
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in the server's log")
        if self.stopped:
            found.append(f"memory over {_MEMORY_STOP_MIB} MiB; the run was ended")
        return found

    def text(self) -> str:
        through = "nginx" if self.plan.nginx else "no proxy"
        quiet, hostile = p99(self.quiet), p99(self.hostile)
        middle = {name: statistics.median(times) for name, times in self.windows.items() if times}
        first, most, last = self.memory_mib[0], max(self.memory_mib), self.memory_mib[-1]
        return "\n".join(
            [
                f"{through}, {self.plan.connections} hostile connections "
                f"({', '.join(self.plan.kinds)}) for "
                f"{self.plan.hostile_secs:.0f} s beside {self.plan.rate:.0f} votes/s and "
                f"{self.plan.screens} screens; seed {self.plan.seed}",
                f"p99 of a vote {quiet * 1000:.0f} ms without, {hostile * 1000:.0f} ms beside them "
                f"(x {hostile / max(quiet, 1e-9):.1f}); medians of windows "
                + ", ".join(f"{name} {secs * 1000:.0f} ms" for name, secs in middle.items()),
                f"p50 {statistics.median(self.quiet or [0]) * 1000:.0f} and "
                f"{statistics.median(self.hostile or [0]) * 1000:.0f} ms",
                "p99 of the honest clients' own lateness, which is part of that: "
                + ", ".join(
                    f"{name} {p99(lags) * 1000:.0f} ms" for name, lags in self.lags.items()
                ),
                f"{_answered(self.quiet)} votes acknowledged without, {_answered(self.hostile)} "
                f"beside them ({_answered(self.hostile) / self.plan.hostile_secs:.0f}/s); "
                f"{len(self.hostile) - _answered(self.hostile)} tries without a response",
                f"memory of the server {first} MiB, {most} at most, {last} at last; "
                f"{self.tracebacks} tracebacks in {self.log_lines} lines of its log",
                "statuses to the hostile "
                + ", ".join(f"{one}: {n}" for one, n in sorted(self.statuses().items())),
                "visits " + ", ".join(f"{name}: {n}" for name, n in sorted(self.seen.items())),
                self.report.text(),
                *(f"! {one}" for one in self.failures()[:20]),
            ]
        )


def _answered(times: list[float]) -> int:
    return sum(secs < ANSWER_TIMEOUT_SECS for secs in times)


def p99(times: list[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))] if times else float("inf")


@contextmanager
def raised_site(folder: Path, *, nginx: bool) -> Iterator[tuple[Rig, int]]:
    """A server with its limits on, and the port that clients use."""
    with ExitStack() as stack:
        postgres = stack.enter_context(PrivatePostgres(folder / "postgres"))
        with on_cores(REDIS_CORE):
            redis = stack.enter_context(PrivateRedis(folder / "redis"))
        env = site_env(database_url=postgres.url, redis_url=redis.url)
        env |= {"RATE_LIMITS": "on", "TRUSTED_PROXIES": "1" if nginx else "0"}
        manage("migrate", "--skip-checks", "--verbosity=0", env=env, log=folder / "migrate.log")
        web = ServeProcess(root=ROOT, log=folder / "web.log", env=env)
        stack.callback(web.stop)
        with on_cores(SERVER_CORE):
            web.launch()
        web.wait_ready()
        port = web.port
        if nginx:
            with on_cores(SERVER_CORE):
                port = stack.enter_context(started_nginx(folder / "nginx", web.port))
        wires = stack.enter_context(Wires({}))
        yield Rig(folder, postgres, redis, wires, [web]), port


@contextmanager
def started_nginx(folder: Path, upstream_port: int) -> Iterator[int]:
    """nginx with the configuration that we ship."""
    program = shutil.which("nginx")
    if program is None:
        raise RuntimeError("nginx is not installed")
    folder.mkdir()
    folder.chmod(0o777)  # its worker is another user
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(local_config(folder=folder, port=port, upstream_ports=[upstream_port]))
    process = GuardedProcess(
        [program, "-p", str(folder), "-c", str(config), "-e", "stderr"], log=folder / "nginx.log"
    )
    try:
        url = f"http://127.0.0.1:{port}/healthz"
        with httpx.Client(trust_env=False) as http:
            wait_until(lambda: _answers(http, url), what="nginx answers")
        yield port
    finally:
        process.stop()


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == 200
    except httpx.TransportError:
        return False


def run(plan: Plan, folder: Path) -> Outcome:
    import uvloop

    with raised_site(folder, nginx=plan.nginx) as (rig, port), on_cores(LOAD_CORE):
        return uvloop.run(_play(plan, rig, port))


async def _play(plan: Plan, rig: Rig, port: int) -> Outcome:
    config = Config(
        seed=plan.seed, faults=(), votes=0, sockets=plan.screens, rate=plan.rate, workers=200,
        themes=THEMES,
    )  # fmt: skip
    session = Session(rig, config)
    crowd = session.crowd
    crowd.ports = crowd.voting_ports = [port]
    addresses = random.Random(plan.seed)
    crowd.sources = lambda: (
        f"127.{addresses.randrange(1, 60)}.{addresses.randrange(256)}.{addresses.randrange(1, 255)}"
    )
    await session.start()
    server = psutil.Process(rig.webs[0].pid)
    memory = [server.memory_info().rss // 2**20]
    latencies = session.ledger.latencies
    windows: dict[str, list[float]] = {}
    lags: dict[str, list[float]] = {}

    async def phase(name: str, seconds: float) -> list[float]:
        """Seconds that each vote took; a try that got no response took all its patience."""
        times: list[float] = []
        lateness = asyncio.create_task(_note_lateness(lags.setdefault(name, [])))
        for _ in range(_WINDOWS):
            begin, lost = len(latencies), session.ledger.failures.total()
            end = time.monotonic() + seconds / _WINDOWS
            while (left := end - time.monotonic()) > 0:
                await asyncio.sleep(min(left, 0.5))
                memory.append(server.memory_info().rss // 2**20)
            lost = session.ledger.failures.total() - lost
            window = [*latencies[begin:], *[ANSWER_TIMEOUT_SECS] * lost]
            windows.setdefault(name, []).append(p99(window))
            times += window
            if memory[-1] > _MEMORY_STOP_MIB:
                break
        lateness.cancel()
        return times

    await phase("warming up", min(3.0, plan.quiet_secs))
    quiet = await phase("quiet", plan.quiet_secs)
    process = await _start_attack(plan, session, port)
    hostile = await phase("hostile", plan.hostile_secs)
    stopped = memory[-1] > _MEMORY_STOP_MIB
    if stopped:
        process.kill()
    out, _ = await process.communicate()
    report = await session.finish()
    memory.append(server.memory_info().rss // 2**20)
    lines = rig.webs[0].log.read_text(errors="replace").splitlines()
    return Outcome(
        plan, report, quiet, hostile, Counter(orjson.loads(out or b"{}")), memory,
        sum("Traceback" in line for line in lines), len(lines), stopped, windows, lags,
    )  # fmt: skip


async def _note_lateness(lags: list[float]) -> None:
    """How late this event loop is, beat by beat, until cancelled: what is not the server's."""
    while True:
        due = time.monotonic() + _BEAT_SECS
        await asyncio.sleep(_BEAT_SECS)
        lags.append(time.monotonic() - due)


async def _start_attack(plan: Plan, session: Session, port: int) -> asyncio.subprocess.Process:
    _, poll = session.crowd.polls["single"]
    code_poll = await session.crowd.insist(
        lambda api: api.create(voter_policy="code", options=["A", "B"])
    )
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
        account = {"username": ACCOUNT, "password": secrets.token_urlsafe(12)}
        (await http.post("/api/v1/accounts/", json=account)).raise_for_status()
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hostile.attack", "--port", str(port), "--poll", poll["id"],
        "--code-poll", code_poll["id"], "--account", ACCOUNT, "--seed", str(plan.seed),
        "--connections", str(plan.connections), "--seconds", str(plan.hostile_secs),
        "--kinds", *plan.kinds,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
