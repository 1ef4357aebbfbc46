"""One chaos run: a crowd, faults from a seed, then the checker and the figures."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from tests.chaos.checker import LIVE_SECS, RULES, Store, check
from tests.chaos.crowd import THEMES, Crowd, Theme, until
from tests.chaos.faults import FAULTS, Scene
from tests.chaos.ledger import Ledger, Violation
from tests.chaos.rig import Rig

_GATHER_SECS = 15.0


@dataclass(frozen=True)
class Config:
    """How long and how hard.

    Args:
        faults: names of `faults.FAULTS`, in order.
        votes: go on until so many are acknowledged.
        rate: votes a second that are tried at most.
    """

    seed: int
    faults: Sequence[str]
    votes: int
    sockets: int
    rate: float
    workers: int = 48
    themes: Sequence[Theme] = tuple(THEMES)


@dataclass
class Report:
    """What came of a run."""

    config: Config
    ledger: Ledger
    violations: list[Violation]
    seconds: float
    faults: Counter[str]
    driver_lag_secs: float
    rss_mib: list[int] = field(default_factory=list)

    def broken(self) -> set[str]:
        return {one.rule for one in self.violations}

    def text(self) -> str:
        ledger = self.ledger
        latencies = sorted(ledger.latencies)

        def at(share: float) -> str:
            return f"{latencies[int(share * (len(latencies) - 1))] * 1000:.0f} ms"

        lines = [
            f"seed {self.config.seed}, {self.seconds:.0f} s, {sum(self.faults.values())} faults, "
            f"{len({one.process for one in ledger.screens})} processes",
            f"votes acknowledged {ledger.acknowledged} ({ledger.acknowledged / self.seconds:.0f}/s"
            f" with all faults), p50 {at(0.5)}, p99 {at(0.99)} of the last try",
            f"sockets {self.config.sockets}, {len(ledger.screens)} connections, "
            f"{ledger.frames} frames, {sum(len(p.tallies) for p in ledger.polls.values())} "
            "tallies compared",
            f"closings {sum(len(poll.closings) for poll in ledger.polls.values())}, answers "
            + ", ".join(f"{status}: {n}" for status, n in sorted(ledger.statuses.items()))
            + "".join(f", {name}: {n}" for name, n in sorted(ledger.failures.items())),
            "faults " + ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items())),
            f"memory of the processes {self.rss_mib} MiB; the test's own longest pause "
            f"{self.driver_lag_secs:.2f} s",
        ]
        by_rule = Counter(one.rule for one in self.violations)
        for rule, text in RULES.items():
            lines.append(f"  {by_rule[rule]:>5} violations  {rule}: {text}")
        shown: Counter[str] = Counter()
        for one in self.violations:
            shown[one.rule] += 1
            if shown[one.rule] <= 5:
                lines.append(f"! {one.rule}: {one.what}")
        return "\n".join(lines)


class Session:
    """A site in use: `start`, break it, `finish`."""

    def __init__(self, rig: Rig, config: Config) -> None:
        self.rig = rig
        self.config = config
        self.ledger = Ledger()
        self.crowd = Crowd(
            self.ledger, rig.ports, seed=config.seed, rate=config.rate, workers=config.workers
        )
        self.scene = Scene(rig, self.crowd, random.Random(f"{config.seed}/faults"))
        self.done: Counter[str] = Counter()
        self.started = time.monotonic()
        self._owner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Polls, screens, voters, an owner."""
        for theme in self.config.themes:
            await self.crowd.make_poll(theme)
        self.crowd.start_watching(self.config.sockets)
        self.crowd.start_voting()
        self._owner = asyncio.create_task(self.crowd.own())

    async def finish(self) -> Report:
        """Everybody comes to rest, every poll is closed, and all is held to the promises."""
        crowd, ledger = self.crowd, self.ledger
        await crowd.stop_voting()
        assert self._owner is not None
        await self._owner
        await _gather(crowd, self.config.sockets)
        await crowd.close_all()
        await until(lambda: _all_final(crowd), LIVE_SECS)
        for screen in crowd.open_screens:
            poll = ledger.polls[screen.poll]
            if not poll.hidden and screen.newest != poll.closings[-1].version:
                ledger.violate("fresh", f"{screen.poll}: {screen.newest} after the final close")
        rss = [psutil.Process(web.pid).memory_info().rss // 2**20 for web in self.rig.webs]
        await crowd.stop_watching()
        seconds = time.monotonic() - self.started
        violations = check(ledger, Store(self.rig.database_url))
        return Report(self.config, ledger, violations, seconds, self.done, crowd.lag_most, rss)


async def run(
    rig: Rig, config: Config, *, log: Callable[[str], None] = lambda line: None
) -> Report:
    """Break the site while it is used, heal it, and hold it to its promises."""
    session = Session(rig, config)
    await session.start()
    for number, name in enumerate(config.faults, start=1):
        await session.scene.last(0.2, 1.2)
        begun = time.monotonic()
        await FAULTS[name](session.scene)
        session.done[name] += 1
        now = time.monotonic()
        log(
            f"{now - session.started:6.1f} s  {number:3} {name} ({now - begun:.1f} s), "
            f"{session.ledger.acknowledged} votes"
        )
    await until(lambda: session.ledger.acknowledged >= config.votes, None)
    return await session.finish()


async def _gather(crowd: Crowd, sockets: int) -> None:
    """Everybody is back, or it is a violation."""
    least = max(sockets, len(crowd.polls) * len(crowd.ports))
    if not await until(lambda: len(crowd.open_screens) >= least, _GATHER_SECS):
        crowd.ledger.violate("fresh", f"only {len(crowd.open_screens)} of {least} sockets are back")


def _all_final(crowd: Crowd) -> bool:
    return all(
        screen.newest == poll.closings[-1].version
        for screen in crowd.open_screens
        if not (poll := crowd.ledger.polls[screen.poll]).hidden
    )
