"""Votes: acknowledged votes/s over REST, every rule in place, each vote of another voter.

What is compared takes turns, a few seconds each, for a shared machine is twice as fast in one
minute as in the next. After the last turn each server's tally is compared with what was
acknowledged.
"""

import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol as Interface

from bench import machine
from bench.ballots import changing_requests, vote_requests
from bench.database import (
    PgbenchMissing,
    Protocol,
    find_pgbench,
    make_pgbench_table,
    pgbench_inserts,
    preload_votes,
)
from bench.stage import Running, Stage
from bench.web_load import Answers, WebLoad

PART = "votes"
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
        return self.server_busy / max(1, self.answers.per_second) * 1e6

    @property
    def database_us(self) -> float:
        return self.database_busy / max(1, self.answers.per_second) * 1e6


class Case(Interface):
    """What takes turns."""

    def take_turn(self, seconds: float) -> None: ...

    def end_warm_up(self) -> None: ...

    def report(self) -> None: ...


def in_turns(stage: Stage, cases: Sequence[Case]) -> None:
    """Measure these side by side, after a warm-up, and report them."""
    turns = stage.sizes.repeats * stage.sizes.turns_a_repeat
    for case in cases:
        if turns > 1:  # a single one is for no figure
            case.take_turn(stage.sizes.warm_up_seconds)
            case.end_warm_up()
    order = random.Random(0)
    for _ in range(turns):
        # Each time another order: what one leaves to the disk to do, the next one pays for.
        for case in order.sample(cases, len(cases)):
            case.take_turn(stage.sizes.seconds / stage.sizes.turns_a_repeat)
    for case in cases:
        case.report()


class Flood:
    """A flood of votes over kept-alive connections, for one poll or several."""

    def __init__(
        self,
        stage: Stage,
        case: str,
        running: Running,
        poll_ids: Sequence[str],
        *,
        bodies: Sequence[bytes] = (),
        part: str = PART,
        voters: int | None = None,
        votes_a_voter: int = 1,
        **notes: object,
    ) -> None:
        """
        Args:
            voters: how many clients.
            votes_a_voter: each changes the vote until it has cast so many; in one poll only.
        """
        self._stage = stage
        self._case = case
        self._running = running
        self._poll_ids = poll_ids
        self._bodies = bodies
        self._part = part
        self._voters = voters or stage.sizes.voters
        self._votes_a_voter = votes_a_voter
        self._notes = notes
        self._skip = 0
        self._acknowledged = 0
        self._elections: list[Election] = []
        self._counted_before = self._counted()

    def take_turn(self, seconds: float) -> None:
        """
        Raises:
            RuntimeError: a vote was answered with an error.
        """
        election = self._stage.run(self._flood(seconds))
        if election.answers.bad:
            raise RuntimeError(f"{election.answers.bad} failed: {election.answers.statuses}")
        self._acknowledged += election.answers.good
        self._elections.append(election)

    def end_warm_up(self) -> None:
        self._elections.clear()

    def report(self) -> None:
        """
        Raises:
            RuntimeError: not exactly the acknowledged votes were counted.
        """
        counted = self._counted() - self._counted_before
        if counted != self._acknowledged:
            raise RuntimeError(f"{self._acknowledged} were acknowledged, {counted} counted")
        measured = self._elections
        self._stage.report.add(
            self._part,
            self._case,
            "votes/s",
            "votes/s",
            [election.answers.per_second for election in measured],
            clients=self._voters,
            p50=f"{_middle([one.answers.percentile_ms(50) for one in measured]):.1f} ms",
            p99=f"{_middle([one.answers.percentile_ms(99) for one in measured]):.1f} ms",
            server_core=f"{_middle([one.server_busy for one in measured]):.0%}",
            load_core=f"{_middle([one.load_busy for one in measured]):.0%}",
            server_us=round(_middle([one.server_us for one in measured])),
            database_us=round(_middle([one.database_us for one in measured])),
            **self._notes,
        )

    async def _flood(self, seconds: float) -> Election:
        load = WebLoad(self._running.ports, self._voters)
        await load.open()
        number = int(MOST_VOTES_A_SECOND * seconds)
        if self._votes_a_voter > 1:
            (poll_id,) = self._poll_ids
            requests = changing_requests(poll_id, number, self._votes_a_voter, skip=self._skip)
        else:
            requests = vote_requests(self._poll_ids, number, self._bodies, skip=self._skip)
        self._skip += number
        is_own_database = self._running.env["DATABASE_URL"].startswith("sqlite")
        database = [] if is_own_database else [self._stage.postgres.pid]
        server, busy = machine.cpu_seconds(self._running.pids), time.process_time()
        stored = machine.cpu_seconds(database)
        answers = await load.flood(requests, seconds)
        load.close()
        return Election(
            answers,
            (machine.cpu_seconds(self._running.pids) - server) / answers.seconds,
            (time.process_time() - busy) / answers.seconds,
            (machine.cpu_seconds(database) - stored) / answers.seconds,
        )

    def _counted(self) -> int:
        counted = "voters" if self._votes_a_voter == 1 else "version"
        return sum(self._running.results(poll_id)[counted] for poll_id in self._poll_ids)


class Pgbench:
    """Single-row inserts, each committed by itself."""

    def __init__(self, stage: Stage, clients: int, protocol: Protocol) -> None:
        self._stage = stage
        self._url = stage.new_database()
        make_pgbench_table(self._url)
        self._clients = clients
        self._protocol = protocol
        self._rates: list[float] = []

    def take_turn(self, seconds: float) -> None:
        """
        Raises:
            PgbenchMissing
        """
        seconds = max(seconds, self._stage.sizes.pgbench_seconds)
        self._rates.append(pgbench_inserts(self._url, self._clients, seconds, self._protocol))

    def end_warm_up(self) -> None:
        self._rates.clear()

    def report(self) -> None:
        case = f"pgbench, single-row inserts, {self._protocol} protocol"
        if self._clients != self._stage.sizes.voters:
            case += f", {self._clients} clients"
        self._stage.report.add(PART, case, "votes/s", "votes/s", self._rates, clients=self._clients)


def run(stage: Stage) -> None:
    _side_by_side(stage)
    _plain(stage)
    with stage.livepoll(server="daphne") as running:
        in_turns(stage, [Flood(stage, "livepoll, daphne, one poll", running,
                              [running.create_poll()])])  # fmt: skip
    _preloaded(stage)


def _side_by_side(stage: Stage) -> None:
    crowd = stage.sizes.many_voters
    with ExitStack() as sites:
        one = sites.enter_context(stage.livepoll())
        two = sites.enter_context(stage.livepoll(processes=2))
        # It is its own database, and has a database's cores as well.
        sqlite = sites.enter_context(
            stage.livepoll(backend="sqlite", also_on=machine.DATABASE_CORES)
        )
        cases: list[Case] = []
        for name, running in (("one process", one), ("two processes", two), ("SQLite", sqlite)):
            polls = [running.create_poll() for _ in range(stage.sizes.polls)]
            cases += [
                Flood(stage, f"livepoll, {name}, one poll", running, [running.create_poll()]),
                Flood(stage, f"livepoll, {name}, {len(polls)} polls", running, polls),
            ]
        for name, running in (("one process", one), ("two processes", two)):
            polls = [running.create_poll() for _ in range(stage.sizes.polls)]
            cases += [
                Flood(stage, f"livepoll, {name}, {of}, {crowd} clients", running, ids,
                      voters=crowd)
                for of, ids in (("one poll", [running.create_poll()]),
                                (f"{len(polls)} polls", polls))
            ]  # fmt: skip
        cases.append(
            Flood(stage, "livepoll, one process, three changes a voter", one,
                  [one.create_poll(vote_change=True)], votes_a_voter=4)
        )  # fmt: skip
        in_turns(stage, cases + _pgbench(stage))


def _pgbench(stage: Stage) -> list[Case]:
    try:
        find_pgbench()
    except PgbenchMissing as missing:
        stage.report.remark(str(missing))
        return []
    protocols: tuple[Protocol, ...] = ("simple", "prepared")
    return [
        Pgbench(stage, clients, protocol)
        for clients in (stage.sizes.voters, stage.sizes.many_voters)
        for protocol in protocols
    ]


def _preloaded(stage: Stage) -> None:
    """Millions of votes stored already: none, in other polls, in the very poll."""
    votes, polls = stage.sizes.preloaded_votes, stage.sizes.polls
    with ExitStack() as sites:
        cases: list[Case] = []
        for case in ("empty table", "full table, other polls", "full table, same poll"):
            database_url = stage.new_database()
            running = sites.enter_context(stage.livepoll(database_url=database_url))
            poll_id = running.create_poll()
            if case != "empty table":
                full = [poll_id]
                if case == "full table, other polls":
                    full = [running.create_poll() for _ in range(polls)]
                preload_votes(database_url, full, votes // len(full))
            stored = 0 if case == "empty table" else votes
            cases.append(Flood(stage, f"livepoll, {case}", running, [poll_id], stored=stored))
        in_turns(stage, cases)


def _plain(stage: Stage) -> None:
    with stage.plain() as running:
        poll_id = running.create_poll()
        bodies = plain_bodies(running, poll_id)
        in_turns(stage, [Flood(stage, "plain, daphne", running, [poll_id], bodies=bodies)])


def plain_bodies(running: Running, poll_id: str) -> list[bytes]:
    """Votes as the plain baseline takes them: its options have ids of their own."""
    answer = running.api.get(f"/api/v1/polls/{poll_id}/results/")
    answer.raise_for_status()
    return [b'{"choice":%d}' % int(option) for option in answer.json()["counts"]]


def _middle(values: list[float]) -> float:
    return statistics.median(values)
