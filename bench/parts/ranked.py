"""Ranked polls of ten options: votes/s, and what a live count costs at 100,000 ballots.

The count by itself, without a server, is `python -m bench.ranked`.
"""

import asyncio
import random
import statistics
import time

from bench.ballots import vote_requests
from bench.crowd import Crowd, Endpoint
from bench.database import RANKED, preload_votes
from bench.parts.votes import Flood, in_turns
from bench.stage import Running, Stage
from bench.web_load import WebLoad

PART = "ranked"
OPTIONS = [f"Option {number}" for number in range(1, 11)]
PAUSE_SECS = 0.15  # longer than the broadcast interval: each vote is sent on its own


def bodies(number: int = 5_000) -> list[bytes]:
    """Random full rankings."""
    rng = random.Random(1)
    orders = [rng.sample(range(1, 11), 10) for _ in range(number)]
    return [b'{"choices":%b}' % str(order).replace(" ", "").encode() for order in orders]


async def vote_by_vote(
    running: Running, poll_id: str, ballots: list[bytes], votes: int
) -> list[float]:
    """One vote at a time in front of one screen: milliseconds until the screen has it."""
    crowd = Crowd(Endpoint(running.port, f"/ws/polls/{poll_id}/"))
    await crowd.open(1)
    load = WebLoad(running.ports, 1, marker=b'"seq":')
    await load.open()
    taken = []
    # Voters that no flood before had.
    for request in vote_requests([poll_id], votes, ballots, skip=400_000):
        answers = await load.flood(iter([request]), 30)
        if answers.bad or not await crowd.until_version(answers.numbers[0], 30):
            raise RuntimeError(f"a vote did not arrive: {answers.statuses}")
        seen = crowd.samples[0].had(answers.numbers[0])
        assert seen is not None
        taken.append((seen - answers.sent_at[0]) * 1000)
        await asyncio.sleep(PAUSE_SECS)
    load.close()
    await crowd.close()
    return taken


def run(stage: Stage) -> None:
    ballots = stage.sizes.ballots
    ranked = {"kind": "ranked", "options": OPTIONS, "max_choices": 10}
    database_url = stage.new_database()
    with stage.livepoll(database_url=database_url) as running:
        single = running.create_poll(options=OPTIONS)
        empty = running.create_poll(**ranked)
        _single_votes(stage, "single choice, vote by vote", running, single, [])
        in_turns(stage, [Flood(stage, "ranked, from no ballots", running, [empty],
                               bodies=bodies(), part=PART)])  # fmt: skip
        full = running.create_poll(**ranked)
        preload_votes(database_url, [full], ballots, RANKED)
        start = time.perf_counter()
        running.results(full)
        first = (time.perf_counter() - start) * 1000
        stage.report.add(PART, f"first count of {ballots:,} ballots", "time", "ms", [first])
        _single_votes(
            stage, f"ranked, vote by vote at {ballots:,} ballots", running, full, bodies()
        )
        in_turns(stage, [Flood(stage, f"ranked, from {ballots:,} ballots", running, [full],
                               bodies=bodies(), part=PART)])  # fmt: skip


def _single_votes(
    stage: Stage, case: str, running: Running, poll_id: str, ballots: list[bytes]
) -> None:
    taken = stage.run(vote_by_vote(running, poll_id, ballots, stage.sizes.single_votes))
    stage.report.add(
        PART, case, "vote to screen", "ms", [statistics.median(taken)],
        p99=f"{sorted(taken)[len(taken) * 99 // 100]:.1f} ms", votes=len(taken),
    )  # fmt: skip
