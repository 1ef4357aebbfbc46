"""Vote to screen: from a vote's first byte to the frame that contains it, at every screen.

Votes come at a steady rate, however slow the responses are. A sample of votes is followed to
all screens; the percentiles are over all pairs of those.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import machine
from bench.ballots import vote_requests
from bench.crowd import Crowd, Endpoint
from bench.parts.votes import plain_bodies
from bench.stage import Running, Stage
from bench.web_load import WebLoad

PART = "vote to screen"
CONNECTIONS = 256
FOLLOWED_VOTES = 300
ARRIVAL_DEADLINE_SECS = 15.0
SURVIVED_MS = 5_000.0


class Overwhelmed(RuntimeError):
    """Votes failed, or some never reached a screen."""


@dataclass
class Journey:
    """How long votes took to the screens, in milliseconds."""

    p50: float
    p99: float
    worst: float
    votes_per_second: float
    server_busy: float
    load_busy: float


async def follow_votes(
    running: Running,
    poll_id: str,
    *,
    screens: int,
    rate: float,
    seconds: float,
    repeats: int,
    warm_up_seconds: float,
    bodies: Sequence[bytes] = (),
) -> list[Journey]:
    """Vote steadily in front of so many screens, after a warm-up.

    Raises:
        Overwhelmed
    """
    crowd = Crowd(Endpoint(running.port, f"/ws/polls/{poll_id}/"), notes_all=True)
    await crowd.open(screens)
    load = WebLoad(running.ports, CONNECTIONS, marker=b'"seq":')
    await load.open()
    skip, journeys = 0, []
    for period in [warm_up_seconds, *[seconds] * repeats]:
        number = max(1, int(rate * period))
        requests = vote_requests([poll_id], number, bodies, skip=skip)
        skip += number
        server, busy = machine.cpu_seconds(running.pids), time.process_time()
        answers = await load.steady(requests, rate, period)
        took = answers.seconds
        server_busy = (machine.cpu_seconds(running.pids) - server) / took
        load_busy = (time.process_time() - busy) / took
        if answers.bad or not await _all_have(crowd, max(answers.numbers)):
            raise Overwhelmed(f"{answers.statuses}, {answers.broken} broken, {crowd.lost} lost")
        step = max(1, len(answers.numbers) // FOLLOWED_VOTES)
        taken = sorted(
            (seen - sent) * 1000
            for sent, seq in list(zip(answers.sent_at, answers.numbers, strict=True))[::step]
            for screen in crowd.samples
            if (seen := screen.had(seq)) is not None
        )
        journeys.append(
            Journey(
                taken[len(taken) // 2],
                taken[len(taken) * 99 // 100],
                taken[-1],
                answers.per_second,
                server_busy,
                load_busy,
            )
        )
    load.close()
    await crowd.close()
    return journeys[1:]


async def _all_have(crowd: Crowd, version: int) -> bool:
    for _ in range(int(ARRIVAL_DEADLINE_SECS / 0.05)):
        if crowd.newest_everywhere >= version:
            return not crowd.lost
        await asyncio.sleep(0.05)
    return False


def run(stage: Stage) -> None:
    sizes = stage.sizes
    for screens in (sizes.sockets, sizes.many_sockets):
        for rate in (500, 1_000):
            with stage.livepoll() as running:
                journeys = stage.run(
                    follow_votes(
                        running,
                        running.create_poll(),
                        screens=screens,
                        rate=rate,
                        seconds=sizes.seconds,
                        repeats=sizes.repeats,
                        warm_up_seconds=sizes.warm_up_seconds,
                    )
                )
            _report(stage, f"livepoll, {screens:,} screens, {rate:,} votes/s", journeys)
    _plain(stage)


def _plain(stage: Stage) -> None:
    """The plain baseline with more and more votes, until it does not keep up."""
    screens = stage.sizes.sockets
    survived: tuple[int, list[Journey]] | None = None
    for rate in stage.sizes.plain_rates:
        with stage.plain() as running:
            poll_id = running.create_poll()
            try:
                journeys = stage.run(
                    follow_votes(
                        running,
                        poll_id,
                        screens=screens,
                        rate=rate,
                        seconds=stage.sizes.seconds,
                        repeats=1,
                        warm_up_seconds=stage.sizes.warm_up_seconds,
                        bodies=plain_bodies(running, poll_id),
                    )
                )
            except (Overwhelmed, TimeoutError, OSError) as problem:
                stage.report.remark(f"plain, {screens:,} screens, {rate} votes/s: {problem!r}")
                break
        if journeys[0].p99 > SURVIVED_MS:
            stage.report.remark(
                f"plain, {screens:,} screens, {rate} votes/s: p99 {journeys[0].p99:,.0f} ms"
            )
            break
        survived = rate, journeys
    if survived is not None:
        most, journeys = survived
        _report(stage, f"plain, {screens:,} screens, {most} votes/s (the most it keeps up with)",
                journeys)  # fmt: skip


def _report(stage: Stage, case: str, journeys: list[Journey]) -> None:
    middle = sorted(journeys, key=lambda one: one.p99)[len(journeys) // 2]
    notes = {
        "votes_per_second": round(middle.votes_per_second),
        "worst": f"{middle.worst:.0f} ms",
        "server_core": f"{middle.server_busy:.0%}",
        "load_core": f"{middle.load_busy:.0%}",
    }
    stage.report.add(PART, case, "p50", "ms", [one.p50 for one in journeys])
    stage.report.add(PART, case, "p99", "ms", [one.p99 for one in journeys], **notes)
