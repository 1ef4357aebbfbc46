"""Ten thousand screens: how fast they connect, what each weighs, what they cost at rest."""

import asyncio
import time
from dataclasses import dataclass

from bench import machine
from bench.crowd import Crowd, Endpoint
from bench.peers import PeerMissing, nginx, socketio
from bench.stage import Stage

PART = "sockets"
AT_ONCE = 250
SETTLE_SECS = 2.0
WARM_UP_SCREENS = 50


@dataclass
class Gathering:
    """What so many screens cost one server."""

    connects_per_second: float
    connects_per_cpu_second: float
    resident_kb: float
    proportional_kb: float
    idle_percent: float
    load_busy: float


async def gather_screens(
    endpoint: Endpoint, pids: list[int], screens: int, idle_seconds: float
) -> Gathering:
    """Connect all screens to a fresh server and leave them in peace.

    Raises:
        RuntimeError: some were lost.
    """
    warm_up = Crowd(endpoint)
    await warm_up.open(WARM_UP_SCREENS)
    await warm_up.close()
    await asyncio.sleep(SETTLE_SECS)
    rss, pss = _memory(pids)
    crowd = Crowd(endpoint)
    server, busy = machine.cpu_seconds(pids), time.process_time()
    took = await crowd.open(screens, at_once=AT_ONCE)
    server_took = machine.cpu_seconds(pids) - server
    load_busy = (time.process_time() - busy) / took
    await asyncio.sleep(SETTLE_SECS)
    rss_after, pss_after = _memory(pids)
    idle, start = machine.cpu_seconds(pids), time.perf_counter()
    await asyncio.sleep(idle_seconds)
    idle_percent = (machine.cpu_seconds(pids) - idle) / (time.perf_counter() - start) * 100
    if crowd.lost:
        raise RuntimeError(f"{crowd.lost} of {screens} screens were lost")
    await crowd.close()
    return Gathering(
        screens / took,
        screens / max(server_took, 0.01),
        (rss_after - rss) / screens / 1024,
        (pss_after - pss) / screens / 1024,
        idle_percent,
        load_busy,
    )


def _memory(pids: list[int]) -> tuple[int, int]:
    sizes = [machine.memory_bytes(pid) for pid in machine.with_children(pids)]
    return sum(rss for rss, _ in sizes), sum(pss for _, pss in sizes)


def run(stage: Stage) -> None:
    found = []
    for _ in range(stage.sizes.repeats):
        with stage.livepoll() as running:
            endpoint = Endpoint(running.port, f"/ws/polls/{running.create_poll()}/")
            found.append(_gather(stage, endpoint, running.pids))
    _report(stage, "livepoll, uvicorn", found)
    with stage.livepoll(backend="sqlite") as running:
        endpoint = Endpoint(running.port, f"/ws/polls/{running.create_poll()}/")
        _report(stage, "livepoll, embedded default", [_gather(stage, endpoint, running.pids)])
    try:
        with nginx(stage.folder / "nginx-sockets") as (pid, port):
            endpoint = Endpoint(port, "/screen", greeting="upgrade")
            _report(stage, "Nchan", [_gather(stage, endpoint, [pid])])
        with socketio(stage.folder / "socketio-sockets") as (pid, port):
            endpoint = Endpoint(port, "/socket.io/?EIO=4&transport=websocket", greeting="socket.io")
            _report(stage, "Socket.IO", [_gather(stage, endpoint, [pid])])
    except PeerMissing as missing:
        stage.report.remark(str(missing))


def _gather(stage: Stage, endpoint: Endpoint, pids: list[int]) -> Gathering:
    sizes = stage.sizes
    return stage.run(gather_screens(endpoint, pids, sizes.most_sockets, sizes.idle_seconds))


def _report(stage: Stage, case: str, found: list[Gathering]) -> None:
    add = stage.report.add
    screens = stage.sizes.most_sockets
    add(
        PART, case, "connects/s", "/s", [one.connects_per_second for one in found],
        screens=screens, load_core=f"{found[0].load_busy:.0%}",
    )  # fmt: skip
    add(PART, case, "connects per CPU second", "", [one.connects_per_cpu_second for one in found])
    add(PART, case, "resident memory a socket", "KB", [one.resident_kb for one in found])
    add(PART, case, "proportional memory a socket", "KB", [one.proportional_kb for one in found])
    add(PART, case, "idle CPU", "% of a core", [one.idle_percent for one in found])
