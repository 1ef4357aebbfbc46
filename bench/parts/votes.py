"""Votes: acknowledged votes/s over REST, every rule in place, each vote of another voter.

After each case the server's tally is compared with what was acknowledged.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import machine
from bench.ballots import vote_requests
from bench.database import PgbenchMissing, Protocol, pgbench_inserts, preload_votes
from bench.stage import Running, Stage
from bench.web_load import Answers, WebLoad

PART = "votes"
WARM_UP_SECS = 1.0
MOST_VOTES_A_SECOND = 15_000


@dataclass
class Election:
    """One measurement of votes."""

    answers: Answers
    server_busy: float
    load_busy: float
    database_busy: float

    @property
    def server_us(self) -> float:
        """CPU time a vote in the web processes: says more than votes/s on a busy machine."""
        return self.server_busy / self.answers.per_second * 1e6

    @property
    def database_us(self) -> float:
        return self.database_busy / self.answers.per_second * 1e6


async def cast_votes(
    running: Running,
    poll_ids: Sequence[str],
    *,
    voters: int,
    seconds: float,
    repeats: int,
    bodies: Sequence[bytes] = (),
    database_pids: Sequence[int] = (),
) -> list[Election]:
    """Flood the server with votes over kept-alive connections, after a warm-up.

    Raises:
        RuntimeError: a vote was answered with an error.
    """
    load = WebLoad(running.ports, voters)
    await load.open()
    skip = 0
    elections = []
    for period in [WARM_UP_SECS, *[seconds] * repeats]:
        number = int(MOST_VOTES_A_SECOND * period)
        requests = vote_requests(poll_ids, number, bodies, skip=skip)
        server, busy = machine.cpu_seconds(running.pids), time.process_time()
        database = machine.cpu_seconds(database_pids)
        answers = await load.flood(requests, period)
        if answers.bad:
            raise RuntimeError(f"{answers.bad} votes failed: {answers.statuses}")
        skip += number
        elections.append(
            Election(
                answers,
                (machine.cpu_seconds(running.pids) - server) / answers.seconds,
                (time.process_time() - busy) / answers.seconds,
                (machine.cpu_seconds(database_pids) - database) / answers.seconds,
            )
        )
    load.close()
    return elections


def run(stage: Stage) -> None:
    _cases(stage, "livepoll, one process")
    _pgbench(stage, stage.sizes.voters)
    with stage.livepoll() as running:
        crowd = stage.sizes.many_voters
        measure(
            stage, f"livepoll, one process, one poll, {crowd} clients", running,
            [running.create_poll()], voters=crowd,
        )  # fmt: skip
    _pgbench(stage, stage.sizes.many_voters)
    _plain(stage)
    with stage.livepoll(server="daphne") as running:
        measure(stage, "livepoll, daphne, one poll", running, [running.create_poll()])
    _cases(stage, "livepoll, two processes", processes=2)
    # That process is its own database, and has a database's cores as well.
    _cases(stage, "livepoll, SQLite", backend="sqlite", also_on=machine.DATABASE_CORES)
    _preloaded(stage)


def _cases(stage: Stage, name: str, **site: object) -> None:
    with stage.livepoll(**site) as running:  # type: ignore[arg-type]
        measure(stage, f"{name}, one poll", running, [running.create_poll()])
        polls = [running.create_poll() for _ in range(stage.sizes.polls)]
        measure(stage, f"{name}, {stage.sizes.polls} polls", running, polls)


def _preloaded(stage: Stage) -> None:
    """Millions of votes stored already: in other polls, then in the very poll."""
    votes, polls = stage.sizes.preloaded_votes, stage.sizes.polls
    database_url = stage.new_database()
    with stage.livepoll(database_url=database_url) as running:
        poll_id = running.create_poll()
        measure(stage, "livepoll, empty table", running, [poll_id])
        others = [running.create_poll() for _ in range(polls)]
        preload_votes(database_url, others, votes // polls)
        measure(
            stage,
            "livepoll, full table, other polls",
            running,
            [running.create_poll()],
            stored=votes,
        )
    database_url = stage.new_database()
    with stage.livepoll(database_url=database_url) as running:
        poll_id = running.create_poll()
        preload_votes(database_url, [poll_id], votes)
        measure(stage, "livepoll, full table, same poll", running, [poll_id], stored=votes)


def measure(
    stage: Stage,
    case: str,
    running: Running,
    poll_ids: Sequence[str],
    *,
    bodies: Sequence[bytes] = (),
    part: str = PART,
    voters: int | None = None,
    **notes: object,
) -> None:
    """Cast votes, check that exactly the acknowledged ones were counted, and report."""
    sizes = stage.sizes
    voters = voters or sizes.voters
    before = sum(running.results(poll_id)["voters"] for poll_id in poll_ids)
    elections = stage.run(
        cast_votes(
            running, poll_ids, bodies=bodies,
            voters=voters, seconds=sizes.seconds, repeats=sizes.repeats,
            database_pids=[stage.postgres.pid],
        )
    )  # fmt: skip
    counted = sum(running.results(poll_id)["voters"] for poll_id in poll_ids) - before
    acknowledged = sum(election.answers.good for election in elections)
    if counted != acknowledged:
        raise RuntimeError(f"{acknowledged} votes were acknowledged, {counted} counted")
    measured = elections[1:]
    stage.report.add(
        part,
        case,
        "votes/s",
        "votes/s",
        [election.answers.per_second for election in measured],
        clients=voters,
        p50=f"{_middle([one.answers.percentile_ms(50) for one in measured]):.1f} ms",
        p99=f"{_middle([one.answers.percentile_ms(99) for one in measured]):.1f} ms",
        server_core=f"{_middle([one.server_busy for one in measured]):.0%}",
        load_core=f"{_middle([one.load_busy for one in measured]):.0%}",
        server_us=round(_middle([one.server_us for one in measured])),
        database_us=round(_middle([one.database_us for one in measured])),
        **notes,
    )


def _middle(values: list[float]) -> float:
    return statistics.median(values)


def _pgbench(stage: Stage, clients: int) -> None:
    sizes = stage.sizes
    url = stage.new_database()
    protocols: tuple[Protocol, ...] = ("simple", "prepared")
    try:
        for protocol in protocols:
            pgbench_inserts(url, clients, 1, protocol)
            rates = [pgbench_inserts(url, clients, sizes.seconds, protocol)
                     for _ in range(sizes.repeats)]  # fmt: skip
            case = f"pgbench, single-row inserts, {protocol} protocol"
            if clients != sizes.voters:
                case += f", {clients} clients"
            stage.report.add(PART, case, "votes/s", "votes/s", rates, clients=clients)
    except PgbenchMissing as missing:
        stage.report.remark(str(missing))


def _plain(stage: Stage) -> None:
    with stage.plain() as running:
        poll_id = running.create_poll()
        measure(stage, "plain, daphne", running, [poll_id], bodies=plain_bodies(running, poll_id))


def plain_bodies(running: Running, poll_id: str) -> list[bytes]:
    """Votes as the plain baseline takes them: its options have ids of their own."""
    answer = running.api.get(f"/api/v1/polls/{poll_id}/results/")
    answer.raise_for_status()
    return [b'{"choice":%d}' % int(option) for option in answer.json()["counts"]]
