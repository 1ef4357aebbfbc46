"""Quiet rooms: thousands of polls that one screen each watches, while nothing happens."""

import asyncio
import time
from dataclasses import dataclass

from bench import machine
from bench.crowd import Crowd, Endpoint
from bench.database import copy_poll
from bench.stage import Stage

PART = "rooms"
AT_ONCE = 100
SETTLE_SECS = 3.0
_SHARE = "% of a core"
_SPARE_FILES = 300  # what a process opens beside its sockets


@dataclass
class Rest:
    """CPU time of each of some servers while nothing happens, in seconds a second."""

    opened_per_second: float
    shares: dict[str, float]
    megabytes: float


async def watch_quietly(
    endpoint: Endpoint, servers: dict[str, list[int]], idle_seconds: float
) -> Rest:
    """Open one screen for each of the endpoint's paths, and measure while they are left alone.

    Raises:
        RuntimeError: some were lost.
    """
    crowd = Crowd(endpoint)
    took = await crowd.open(len(endpoint.paths), at_once=AT_ONCE)
    await asyncio.sleep(SETTLE_SECS)
    start = time.perf_counter()
    before = {name: machine.cpu_seconds(pids) for name, pids in servers.items()}
    await asyncio.sleep(idle_seconds)
    rested = time.perf_counter() - start
    shares = {
        name: (machine.cpu_seconds(pids) - before[name]) / rested for name, pids in servers.items()
    }
    if crowd.lost:
        raise RuntimeError(f"{crowd.lost} of {len(endpoint.paths)} screens were lost")
    resident, _ = machine.memory_bytes(servers["web process"][0])
    await crowd.close()
    return Rest(len(endpoint.paths) / took, shares, resident / 2**20)


def run(stage: Stage) -> None:
    may_open = machine.raise_file_limit() - _SPARE_FILES
    for rooms in stage.sizes.rooms:
        opened = min(rooms, may_open)
        database_url = stage.new_database()
        env = {"MAX_SOCKETS": str(2 * rooms)}
        with stage.livepoll(database_url=database_url, env=env) as running:
            ids = copy_poll(database_url, running.create_poll(), opened)
            endpoint = Endpoint(running.port, "", paths=tuple(f"/ws/polls/{id}/" for id in ids))
            servers = {
                "web process": running.pids,
                "Redis": [stage.redis.pid],
                "PostgreSQL": [stage.postgres.pid],
            }
            rest = stage.run(watch_quietly(endpoint, servers, stage.sizes.idle_seconds))
        case = f"livepoll, uvicorn, {rooms:,} rooms"
        for name, share in rest.shares.items():
            stage.report.add(PART, case, f"{name} at rest", _SHARE, [share * 100])
        stage.report.add(
            PART, case, "rooms opened", "/s", [rest.opened_per_second],
            opened=opened, resident_mb=round(rest.megabytes),
        )  # fmt: skip
