"""Memory: a web process takes an hour's worth of votes, poll after poll, and must not grow.

An hour at 100 votes/s is 360,000 votes; here they come as fast as they are taken, over
forty polls, each with screens that come and go.
"""

import statistics

from bench import machine
from bench.ballots import vote_requests
from bench.crowd import Crowd, Endpoint
from bench.stage import Running, Stage
from bench.web_load import WebLoad

PART = "memory"
SCREENS = 50


async def vote_for_an_hour(running: Running, votes: int, rounds: int) -> list[float]:
    """Resident memory after each round, in MB; one round of warm-up is left out."""
    resident = []
    for _ in range(rounds + 1):
        poll_id = running.create_poll()
        crowd = Crowd(Endpoint(running.port, f"/ws/polls/{poll_id}/"))
        await crowd.open(SCREENS)
        load = WebLoad(running.ports, 64)
        await load.open()
        answers = await load.flood(vote_requests([poll_id], votes // rounds), 120)
        if answers.good != votes // rounds:
            raise RuntimeError(f"votes failed: {answers.statuses}")
        load.close()
        await crowd.close()
        rss, _ = machine.memory_bytes(running.pids[0])
        resident.append(rss / 2**20)
    return resident[1:]


def run(stage: Stage) -> None:
    rounds = stage.sizes.memory_rounds
    with stage.livepoll() as running:
        resident = stage.run(vote_for_an_hour(running, stage.sizes.memory_votes, rounds))
    quarter = rounds // 4
    first, last = statistics.mean(resident[:quarter]), statistics.mean(resident[-quarter:])
    case = f"livepoll, {stage.sizes.memory_votes:,} votes"
    stage.report.add(PART, case, "first quarter", "MB", [first])
    stage.report.add(PART, case, "last quarter", "MB", [last])
    stage.report.add(
        PART, case, "last over first quarter", "", [last / first],
        course=" ".join(f"{one:.0f}" for one in resident[:: max(1, rounds // 10)]),
    )  # fmt: skip
