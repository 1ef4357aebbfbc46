"""All threads for ordinary requests taken, and their queue full: what do votes, results and pages
notice of it?

The threads sleep in a view; other clients send bodies byte by byte, and ask for an export that they
do not read. Beside them votes, results and vote pages come at a steady rate.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from bench.ballots import get_requests, vote_requests
from bench.crowd import Crowd, Endpoint
from bench.database import preload_votes
from bench.stage import OPTIONS, Running, Stage
from bench.web_load import Answers, WebLoad

PART = "busy"
SCREENS = 50
SHOWN_DEADLINE_SECS = 5.0
SLEEPERS = 104  # four run, and as many wait as may
_QUEUE = {"REQUEST_THREADS": "4", "REQUEST_QUEUE": "100"}
UPLOADS = 50
DOWNLOADS = 20
CONNECTIONS = 32
RATES = {"votes": 300.0, "results": 300.0, "vote page": 100.0}
_UPLOAD = (
    b"POST /api/v1/polls/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n"
)


@dataclass
class Served:
    """One stretch: the answers by kind of request, and p99 from a vote to a screen."""

    answers: dict[str, Answers]
    to_screens_ms: float

    @property
    def p99_ms(self) -> dict[str, float]:
        kinds = {name: one.percentile_ms(99) for name, one in self.answers.items()}
        return kinds | {"vote to screen": self.to_screens_ms}


class _Stuck(asyncio.Protocol):
    """A connection that sends a request, then a byte of its body now and again, and never reads."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)
        self.transport.pause_reading()


@asynccontextmanager
async def full_pool(running: Running, export: bytes) -> Any:
    """All threads sleep and as many requests wait as may, for as long as the block runs."""
    sleepers = WebLoad(running.ports, SLEEPERS)
    await sleepers.open()
    sleeping = asyncio.create_task(sleepers.flood(get_requests("/sleep/"), 600))
    loop = asyncio.get_running_loop()
    stuck = [
        (await loop.create_connection(partial(_Stuck, one), "127.0.0.1", running.port))[1]
        for one in [_UPLOAD] * UPLOADS + [export] * DOWNLOADS
    ]

    async def dribble() -> None:
        while True:
            await asyncio.sleep(1)
            for one in stuck[:UPLOADS]:
                if one.transport is not None and not one.transport.is_closing():
                    one.transport.write(b" ")

    dribbling = asyncio.create_task(dribble())
    await asyncio.sleep(1)
    try:
        yield
    finally:
        dribbling.cancel()
        for one in stuck:
            if one.transport is not None:
                one.transport.abort()
        sleeping.cancel()
        sleepers.close()


async def serve_beside(
    running: Running,
    poll_id: str,
    requests: dict[str, Iterator[bytes]],
    export: bytes,
    seconds: float,
) -> tuple[Served, Served]:
    """Each kind at its rate, first alone, then beside a full pool.

    Raises:
        RuntimeError: an answer was none of 2xx.
    """
    crowd = Crowd(Endpoint(running.port, f"/ws/polls/{poll_id}/"), notes_all=True)
    await crowd.open(SCREENS)
    loads = {
        name: WebLoad(running.ports, CONNECTIONS, marker=b'"seq":' if name == "votes" else b"")
        for name in requests
    }
    for load in loads.values():
        await load.open()

    async def serve() -> Served:
        found = await asyncio.gather(
            *(loads[name].steady(requests[name], RATES[name], seconds) for name in requests)
        )
        answers = dict(zip(requests, found, strict=True))
        if any(one.bad for one in found):
            raise RuntimeError(f"{ {name: one.statuses for name, one in answers.items()} }")
        votes = answers["votes"]
        await crowd.until_version(max(votes.numbers), SHOWN_DEADLINE_SECS)
        waits = sorted(
            (screen.had(number) or math.inf) - sent
            for sent, number in zip(votes.sent_at, votes.numbers, strict=True)
            for screen in crowd.samples
        )
        return Served(answers, waits[len(waits) * 99 // 100] * 1000)

    await serve()  # to warm up
    alone = await serve()
    async with full_pool(running, export):
        beside = await serve()
    for load in loads.values():
        load.close()
    await crowd.close()
    return alone, beside


def run(stage: Stage) -> None:
    sizes = stage.sizes
    database_url = stage.new_database()
    with stage.livepoll(
        database_url=database_url, env=_QUEUE, app="bench.slow_app:application"
    ) as running:
        poll_id, stored = running.create_poll(), running.api.post(
            "/api/v1/polls/", json={"question": "Which?", "options": OPTIONS}
        ).json()  # fmt: skip
        preload_votes(database_url, [stored["id"]], sizes.exported_votes)
        code = running.api.get(f"/api/v1/polls/{poll_id}/").json()["code"]
        votes = int(RATES["votes"] * sizes.seconds)
        requests = {
            "votes": vote_requests([poll_id], 3 * votes + 3),
            "results": get_requests(f"/api/v1/polls/{poll_id}/results/"),
            "vote page": get_requests(f"/p/{code}/"),
        }
        export = next(get_requests(
            f"/api/v1/polls/{stored['id']}/votes.csv",
            f"Authorization: Bearer {stored['owner_key']}",
        ))  # fmt: skip
        alone, beside = stage.run(serve_beside(running, poll_id, requests, export, sizes.seconds))
    for name, p99 in alone.p99_ms.items():
        case = f"livepoll, {name}"
        stage.report.add(PART, case, "p99 alone", "ms", [p99])
        stage.report.add(PART, case, "p99 beside a full pool", "ms", [beside.p99_ms[name]])
