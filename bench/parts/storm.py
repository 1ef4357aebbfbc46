"""Storm: the server is restarted under thousands of screens, which all come back.

Screens reconnect as the page does, with full jitter. Live and right means: connected, and
showing every vote that was acknowledged, those cast after the restart included.
"""

import asyncio
import random
import time
from collections.abc import Callable

from bench import machine
from bench.ballots import vote_requests
from bench.crowd import Crowd, Endpoint, NotingScreen
from bench.stage import Running, Stage
from bench.web_load import WebLoad

PART = "storm"
# As in web/static/web/js/live.js.
FIRST_DELAY_SECS = 0.5
LONGEST_DELAY_SECS = 5.0
ANSWER_DEADLINE_SECS = 5.0
ALL_BACK_DEADLINE_SECS = 120.0
VOTES_BEFORE, VOTES_AFTER = 200, 200


class Audience:
    """Screens that come back whenever they are cut off."""

    def __init__(self, endpoint: Endpoint, number: int) -> None:
        self.crowd = Crowd(endpoint)
        self.seats: list[NotingScreen | None] = [None] * number
        self._tasks: list[asyncio.Task[None]] = []

    async def arrive(self) -> None:
        self._tasks = [
            asyncio.create_task(self._stay(seat, random.uniform(0, 2.0)))
            for seat in range(len(self.seats))
        ]
        await self.until(lambda screen: True, ALL_BACK_DEADLINE_SECS)

    async def _stay(self, seat: int, first_delay: float) -> None:
        await asyncio.sleep(first_delay)
        failures = 0
        while True:
            try:
                screen = NotingScreen(self.crowd)
                async with asyncio.timeout(ANSWER_DEADLINE_SECS):
                    await self.crowd.connect(screen, seat)
            except OSError:
                pass
            else:
                failures = 0
                self.seats[seat] = screen
                await screen.gone
                self.seats[seat] = None
            limit = min(LONGEST_DELAY_SECS, FIRST_DELAY_SECS * 2**failures)
            failures += 1
            await asyncio.sleep(random.uniform(0, limit))

    async def until(self, is_right: Callable[[NotingScreen], bool], deadline_secs: float) -> None:
        """Wait until every seat has a screen that is right.

        Raises:
            TimeoutError
        """
        async with asyncio.timeout(deadline_secs):
            for screen_at in range(len(self.seats)):  # once right, it stays right
                while (  # noqa: ASYNC110 (what is awaited is many events, not one)
                    screen := self.seats[screen_at]
                ) is None or not is_right(screen):
                    await asyncio.sleep(0.02)

    async def go(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for screen in self.seats:
            if screen is not None:
                screen.leave()


async def weather(running: Running, poll_id: str, screens: int) -> tuple[float, float]:
    """Restart the server under its audience; seconds until it is up, and until all is right."""
    audience = Audience(Endpoint(running.port, f"/ws/polls/{poll_id}/"), screens)
    await audience.arrive()
    version = await _vote(running, poll_id, VOTES_BEFORE, skip=0)
    start = time.perf_counter()
    await asyncio.get_running_loop().run_in_executor(None, _restart, running)
    up = time.perf_counter() - start
    version = await _vote(running, poll_id, VOTES_AFTER, skip=VOTES_BEFORE)
    await audience.until(lambda screen: screen.version >= version, ALL_BACK_DEADLINE_SECS)
    all_right = time.perf_counter() - start
    await audience.go()
    return up, all_right


def _restart(running: Running) -> None:
    with machine.on_cores(machine.SERVER_CORE):
        running.processes[0].restart()


async def _vote(running: Running, poll_id: str, votes: int, *, skip: int) -> int:
    """Cast votes and return the newest version."""
    load = WebLoad(running.ports, 8, marker=b'"seq":')
    await load.open()
    answers = await load.flood(vote_requests([poll_id], votes, skip=skip), 60)
    load.close()
    if answers.good != votes:
        raise RuntimeError(f"votes failed: {answers.statuses}, {answers.broken} broken")
    return max(answers.numbers)


def run(stage: Stage) -> None:
    found = []
    for _ in range(stage.sizes.repeats):
        with stage.livepoll() as running:
            poll_id = running.create_poll()
            found.append(stage.run(weather(running, poll_id, stage.sizes.many_sockets)))
    case = f"livepoll, restart under {stage.sizes.many_sockets:,} screens"
    stage.report.add(PART, case, "server answers again", "s", [up for up, _ in found])
    stage.report.add(PART, case, "all live and right", "s", [right for _, right in found])
