"""The crowd arrives: thousands of phones scan a code at the same moment, load the page, open its
socket and vote, in front of screens that show the result.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import machine
from bench.ballots import get_requests, vote_requests
from bench.crowd import Crowd, Endpoint
from bench.parts.votes import plain_bodies
from bench.phones import Arrival, arrive, page_requests
from bench.stage import Backend, Running, Stage

PART = "arrival"
SHOWN_DEADLINE_SECS = 30.0
# Limits as they are by default; PostgreSQL has its 100 connections.
LIMITS_ON = {"RATE_LIMITS": "on"}


@dataclass
class Watched:
    """One arrival.

    Args:
        shown: seconds from the last vote until every screen shows them all.
        server: its CPU time, in seconds.
        load: the same of the phones and screens.
    """

    arrival: Arrival
    shown: float
    server: float
    load: float


async def watch_arrival(
    running: Running, poll_id: str, page: Sequence[bytes], votes: Sequence[bytes], screens: int
) -> Watched:
    """Have one phone for each vote arrive.

    Raises:
        TimeoutError: some screens never show the last vote.
    """
    endpoint = Endpoint(running.port, f"/ws/polls/{poll_id}/", has_one_address=True)
    shown = Crowd(endpoint, notes_all=True)
    await shown.open(screens)
    phones = Crowd(endpoint)
    server, load = machine.cpu_seconds(running.pids), time.process_time()
    arrival = await arrive(endpoint, page, votes, phones)
    last = time.perf_counter()
    server, load = machine.cpu_seconds(running.pids) - server, time.process_time() - load
    if not await shown.until_version(len(arrival.voted_at), SHOWN_DEADLINE_SECS):
        raise TimeoutError(f"some of {screens} screens do not show the last vote")
    took = time.perf_counter() - last
    await phones.close()
    await shown.close()
    return Watched(arrival, took, server, load)


def run(stage: Stage) -> None:
    backends: tuple[tuple[str, Backend], ...] = (
        ("livepoll, uvicorn", "postgresql"), ("livepoll, embedded default", "sqlite"),
    )  # fmt: skip
    for name, backend in backends:
        watched = []
        for _ in range(stage.sizes.repeats):
            with stage.livepoll(backend=backend, env=LIMITS_ON) as running:
                poll_id = running.create_poll()
                code = running.api.get(f"/api/v1/polls/{poll_id}/").json()["code"]
                page = page_requests(running.api, f"/p/{code}/")
                votes = list(vote_requests([poll_id], stage.sizes.phones))
                watched.append(stage.run(
                    watch_arrival(running, poll_id, page, votes, stage.sizes.phone_screens)
                ))  # fmt: skip
        _report(stage, name, stage.sizes.phones, watched, requests_a_page=len(page))
    _plain(stage)


def _plain(stage: Stage) -> None:
    """The plain baseline with ever more phones, until some fail; it has no page but results."""
    for phones in stage.sizes.plain_phones:
        with stage.plain() as running:
            poll_id = running.create_poll()
            page = [next(get_requests(f"/api/v1/polls/{poll_id}/results/"))]
            votes = list(vote_requests([poll_id], phones, plain_bodies(running, poll_id)))
            try:
                one = stage.run(
                    watch_arrival(running, poll_id, page, votes, stage.sizes.phone_screens)
                )
            except (TimeoutError, OSError) as problem:
                stage.report.remark(f"plain, {phones:,} phones: {problem!r}")
                return
        _report(stage, "plain, daphne", phones, [one], requests_a_page=1)
        if one.arrival.failed:
            return


def _report(stage: Stage, name: str, phones: int, watched: list[Watched], **notes: object) -> None:
    case = f"{name}, {phones:,} phones"
    took = [max(one.arrival.voted_at, default=math.nan) for one in watched]
    middle = watched[took.index(statistics.median_low(took))]
    add = stage.report.add
    add(PART, case, "until the last has voted", "s", took, **notes,
        statuses=dict(middle.arrival.statuses),
        server_core=f"{middle.server / max(middle.arrival.voted_at, default=1):.0%}",
        load_core=f"{middle.load / max(middle.arrival.voted_at, default=1):.0%}")  # fmt: skip
    add(PART, case, "last vote to every screen", "s", [one.shown for one in watched])
    add(PART, case, "CPU a phone", "ms", [one.server / phones * 1000 for one in watched])
    add(PART, case, "errors", "", [float(one.arrival.failed) for one in watched])
