"""Fan-out: frames/s delivered to the screens of one poll by one process.

A new tally is published as soon as fewer than WINDOW are on their way, so the server is
always busy and no way of sending has to queue or to drop. A tally counts as arrived when
a sample of screens has it; frames are counted at every screen. Livepoll sends only the
newest of several that came together: with few under way, each process, hardly any do.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import orjson

from bench import machine
from bench.ballots import vote_requests
from bench.crowd import Crowd, Endpoint
from bench.peers import PeerMissing, nginx, socketio
from bench.publishers import HttpPublisher, Publisher, VotePublisher, through_layer
from bench.stage import Running, Stage
from bench.web_load import WebLoad
from tests.e2e.harness import Server, site_env

PART = "fan-out"
WINDOW = 8
FEW = 3
LOST_AFTER_SECS = 0.25
FAST = {"BROADCAST_INTERVAL_MS": "1"}

Publishing = Callable[[], AbstractAsyncContextManager[Publisher]]


@dataclass
class Flow:
    """One server's fan-out in one measurement."""

    frames_per_second: float
    versions_per_second: float
    server_busy: float
    load_busy: float


async def pour(
    endpoint: Endpoint,
    publishing: Publishing,
    pids: list[int],
    screens: int,
    seconds: float,
    repeats: int,
    warm_up_seconds: float,
    window: int = WINDOW,
) -> list[Flow]:
    """Open the screens, keep publishing, and measure after a warm-up."""
    crowd = Crowd(endpoint)
    await crowd.open(screens)
    async with publishing() as publisher:
        pump = asyncio.create_task(_pump(crowd, publisher, window))
        reading = asyncio.create_task(crowd.read_in_turns())
        flows = []
        try:
            await asyncio.sleep(warm_up_seconds)
            for _ in range(repeats):
                flows.append(await _measure(crowd, pids, seconds))
            for task in (pump, reading):
                if task.done():
                    task.result()  # it failed, and nothing was measured
        finally:
            for task in (pump, reading):
                task.cancel()
            await asyncio.gather(pump, reading, return_exceptions=True)
    if crowd.lost:
        raise RuntimeError(f"{crowd.lost} of {screens} screens were lost")
    await crowd.close()
    return flows


async def _pump(crowd: Crowd, publisher: Publisher, window: int) -> None:
    version = max(0, crowd.newest_everywhere)
    while True:
        version += 1
        await publisher.publish(version)
        # One that is lost on the way must not stop the rest for long.
        await crowd.until_version(version - window + 1, LOST_AFTER_SECS)


async def _measure(crowd: Crowd, pids: list[int], seconds: float) -> Flow:
    frames, version = crowd.frames, crowd.newest_everywhere
    server, load, start = machine.cpu_seconds(pids), time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - start
    return Flow(
        frames_per_second=(crowd.frames - frames) / took,
        versions_per_second=(crowd.newest_everywhere - version) / took,
        server_busy=(machine.cpu_seconds(pids) - server) / took,
        load_busy=(time.process_time() - load) / took,
    )


def run(stage: Stage) -> None:
    payload = _livepoll(stage, "uvicorn")
    _livepoll(stage, "daphne")
    _livepoll(stage, "uvicorn", processes=2)
    _by_votes(stage)
    _nchan(stage, payload)
    _socketio(stage, payload)
    _plain(stage)


def _livepoll(stage: Stage, server: Server, processes: int = 1) -> bytes:
    """Through Redis, as the real server does; returns a results frame as a pattern."""
    database_url = stage.new_database()
    env = site_env(database_url=database_url, redis_url=stage.redis.url)
    with stage.livepoll(
        database_url=database_url, server=server, processes=processes, env=FAST
    ) as running:
        poll_id = running.create_poll()
        endpoint = Endpoint(running.port, f"/ws/polls/{poll_id}/", also=tuple(running.ports[1:]))
        _report(
            stage,
            f"livepoll, {server}" + (f", {processes} processes" if processes > 1 else ""),
            lambda: through_layer("bench.layer_publisher", poll_id, env),
            endpoint,
            running.pids,
            FEW * processes,
        )
        tally = running.results(poll_id)
        tally.pop("as_of")
        return orjson.dumps({"type": "results", **tally}).replace(
            b'"version":0', b'"version":VERSION'
        )


def _by_votes(stage: Stage) -> None:
    """The embedded default has no way in but votes: one as soon as the last is shown."""
    with stage.livepoll(backend="sqlite", env=FAST) as running:
        poll_id = running.create_poll()
        _report(
            stage,
            "livepoll, embedded default, by votes",
            lambda: _voting(running, poll_id),
            Endpoint(running.port, f"/ws/polls/{poll_id}/"),
            running.pids,
        )


@asynccontextmanager
async def _voting(running: Running, poll_id: str) -> AsyncIterator[Publisher]:
    load = WebLoad(running.ports, WINDOW)
    await load.open()
    load.begin()
    yield VotePublisher(load, vote_requests([poll_id], 50_000))
    load.close()


@asynccontextmanager
async def _posting(port: int, payload: bytes) -> AsyncIterator[Publisher]:
    load = WebLoad([port], WINDOW)
    await load.open()
    load.begin()
    yield HttpPublisher(load, "/publish", payload)
    load.close()


def _nchan(stage: Stage, payload: bytes) -> None:
    try:
        with nginx(stage.folder / "nginx") as (pid, port):
            endpoint = Endpoint(port, "/screen", greeting="upgrade")
            _report(stage, "Nchan", lambda: _posting(port, payload), endpoint, [pid])
    except PeerMissing as missing:
        stage.report.remark(str(missing))


def _socketio(stage: Stage, payload: bytes) -> None:
    try:
        with socketio(stage.folder / "socketio") as (pid, port):
            endpoint = Endpoint(port, "/socket.io/?EIO=4&transport=websocket", greeting="socket.io")
            _report(stage, "Socket.IO", lambda: _posting(port, payload), endpoint, [pid])
    except PeerMissing as missing:
        stage.report.remark(str(missing))


def _plain(stage: Stage) -> None:
    with stage.plain() as running:
        poll_id = running.create_poll()
        _report(
            stage,
            "plain, daphne",
            lambda: through_layer("bench.plain.publisher", poll_id, running.env),
            Endpoint(running.port, f"/ws/polls/{poll_id}/"),
            running.pids,
        )


def _report(
    stage: Stage, case: str, publishing: Publishing, endpoint: Endpoint, pids: list[int],
    window: int = WINDOW,
) -> None:  # fmt: skip
    sizes = stage.sizes
    flows = stage.run(
        pour(
            endpoint,
            publishing,
            pids,
            sizes.sockets,
            sizes.seconds,
            sizes.repeats,
            sizes.warm_up_seconds,
            window,
        )
    )
    middle = sorted(flows, key=lambda flow: flow.frames_per_second)[len(flows) // 2]
    stage.report.add(
        PART,
        case,
        "frames/s",
        "frames/s",
        [flow.frames_per_second for flow in flows],
        screens=sizes.sockets,
        tallies_per_second=round(middle.versions_per_second, 1),
        server_us=round(middle.server_busy / max(1, middle.frames_per_second) * 1e6, 1),
        server_core=f"{middle.server_busy:.0%}",
        load_core=f"{middle.load_busy:.0%}",
    )
