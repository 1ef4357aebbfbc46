"""Everything that is broken on purpose. A fault begins, lasts and is healed; while it lasts
it stands in the ledger, so that the checker knows what screens may be late for."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from tests.chaos.crowd import Crowd
from tests.chaos.ledger import Disturbance
from tests.chaos.rig import Rig

_COMMIT_DEADLINE_SECS = 2.0
_LONGEST_FREEZE_SECS = 3.0


@dataclass
class Scene:
    """Where a fault takes place; `random` comes from the run's seed."""

    rig: Rig
    crowd: Crowd
    random: random.Random

    def web(self) -> int:
        return self.random.randrange(len(self.rig.webs))

    async def last(self, least: float = 0.3, most: float = 2.5) -> None:
        await asyncio.sleep(self.random.uniform(least, most))

    @asynccontextmanager
    async def disturbing(
        self, what: str, processes: Iterable[int] | None = None
    ) -> AsyncIterator[None]:
        """Note what the block breaks: `redis`, or anything else."""
        start = time.monotonic()
        hit = frozenset(range(len(self.rig.webs)) if processes is None else processes)
        place = len(self.crowd.ledger.disturbances)
        open_ended = Disturbance(what, hit, start, float("inf"))
        self.crowd.ledger.disturbances.append(open_ended)
        try:
            yield
        finally:
            self.crowd.ledger.disturbances[place] = open_ended._replace(end=time.monotonic())

    @contextmanager
    def voting_on_one_side(self) -> Iterator[None]:
        """Mostly, send all votes to one process: the others' screens depend on the rest."""
        if self.random.random() < 0.75:
            self.crowd.voting_ports = [self.random.choice(self.crowd.ports)]
        try:
            yield
        finally:
            self.crowd.voting_ports = self.crowd.ports


Fault = Callable[[Scene], Awaitable[None]]


async def kill_web(scene: Scene) -> None:
    number = scene.web()
    web = scene.rig.webs[number]
    async with scene.disturbing("web", [number]):
        await asyncio.to_thread(web.kill)
        await scene.last(0.0, 1.0)
        await asyncio.to_thread(web.start)


async def freeze_web(scene: Scene) -> None:
    number = scene.web()
    # Frozen between lock and commit it may hold a poll's lock: all others wait for it.
    async with scene.disturbing("web"):
        scene.rig.webs[number].pause()
        try:
            await scene.last(0.5, _LONGEST_FREEZE_SECS)
        finally:
            scene.rig.webs[number].resume()


async def restart_web(scene: Scene) -> None:
    number = scene.web()
    async with scene.disturbing("web", [number]):
        code = await asyncio.to_thread(scene.rig.webs[number].stop)
        if code != 0:
            scene.crowd.ledger.violate("answers", f"a process told to stop ended with {code}")
        await asyncio.to_thread(scene.rig.webs[number].start)


async def kill_redis(scene: Scene, least: float = 0.3, most: float = 3.0) -> None:
    async with scene.disturbing("redis"):
        with scene.voting_on_one_side():
            await asyncio.to_thread(scene.rig.redis.kill)
            try:
                await scene.last(least, most)
            finally:
                await asyncio.to_thread(scene.rig.redis.start)


async def kill_redis_for_long(scene: Scene) -> None:
    """Longer than screens may be late without it."""
    await kill_redis(scene, 12, 14)


async def freeze_redis(scene: Scene) -> None:
    async with scene.disturbing("redis"):
        scene.rig.redis.pause()
        try:
            await scene.last(0.5, _LONGEST_FREEZE_SECS)
        finally:
            scene.rig.redis.resume()


async def kill_postgres(scene: Scene) -> None:
    async with scene.disturbing("postgres"):
        await asyncio.to_thread(scene.rig.postgres.kill)
        try:
            await scene.last(0.1, 2.0)
        finally:
            await asyncio.to_thread(scene.rig.postgres.start)


async def kill_postgres_in_a_commit(scene: Scene) -> None:
    wire = f"postgres-{scene.web()}"
    async with scene.disturbing("postgres"):
        await asyncio.to_thread(scene.rig.wires.send, wire, "trap", "signal")
        await asyncio.to_thread(scene.rig.wires.await_commit, _COMMIT_DEADLINE_SECS)
        await asyncio.to_thread(scene.rig.postgres.kill)
        await asyncio.to_thread(scene.rig.wires.send, wire, "heal")
        await asyncio.to_thread(scene.rig.postgres.start)


async def freeze_postgres(scene: Scene) -> None:
    async with scene.disturbing("postgres"):
        scene.rig.postgres.pause()
        try:
            await scene.last(0.5, _LONGEST_FREEZE_SECS)
        finally:
            scene.rig.postgres.resume()


def on_wire(server: str, command: str, value: object = None, *, everybody: bool = True) -> Fault:
    """A fault of one wire. `everybody`: may hold up other processes too, by a poll's lock."""

    async def fault(scene: Scene) -> None:
        number = scene.web()
        amount = scene.random.uniform(0.02, 0.2) if value == "some" else value
        async with scene.disturbing(server, None if everybody else [number]):
            await asyncio.to_thread(scene.rig.wires.send, f"{server}-{number}", command, amount)
            try:
                await scene.last()
            finally:
                await asyncio.to_thread(scene.rig.wires.send, f"{server}-{number}", "heal")

    return fault


async def restart_everything(scene: Scene) -> None:
    rig = scene.rig
    async with scene.disturbing("redis"), scene.disturbing("web"):
        for stop in (*(web.kill for web in rig.webs), rig.redis.kill, rig.postgres.kill):
            await asyncio.to_thread(stop)
        await asyncio.to_thread(rig.postgres.start)
        await asyncio.to_thread(rig.redis.start)
        for web in rig.webs:
            web.launch()
        for web in rig.webs:
            await asyncio.to_thread(web.wait_ready)


async def fill_the_ballot_box(scene: Scene) -> None:
    """A process with room for three votes, on a slow database."""
    number = scene.web()
    web, wire = scene.rig.webs[number], f"postgres-{number}"
    async with scene.disturbing("web"):
        web.extra_env = {"BALLOT_BOX_CAPACITY": "3", "BALLOT_BOX_BATCH": "2"}
        await asyncio.to_thread(web.restart)
        await asyncio.to_thread(scene.rig.wires.send, wire, "delay", 0.1)
        try:
            await scene.last(1.0, 2.0)
        finally:
            await asyncio.to_thread(scene.rig.wires.send, wire, "heal")
            web.extra_env = {}
            await asyncio.to_thread(web.restart)


async def jump_clock(scene: Scene) -> None:
    number = scene.web()
    clock = scene.rig.clocks[number]
    clock.jump(scene.random.choice([-7200, -60, -3, 3, 60, 7200]))
    try:
        await scene.last()
    finally:
        clock.jump(0)


async def drop_sockets(scene: Scene) -> None:
    scene.crowd.drop_sockets(scene.web())
    await scene.last(0.1, 0.5)


FAULTS: dict[str, Fault] = {
    "kill_web": kill_web,
    "freeze_web": freeze_web,
    "restart_web": restart_web,
    "kill_redis": kill_redis,
    "kill_redis_for_long": kill_redis_for_long,
    "freeze_redis": freeze_redis,
    "kill_postgres": kill_postgres,
    "kill_postgres_in_a_commit": kill_postgres_in_a_commit,
    "freeze_postgres": freeze_postgres,
    "lose_a_commit": on_wire("postgres", "trap", "lose"),
    "lose_a_commits_answer": on_wire("postgres", "trap", "swallow"),
    "cut_postgres": on_wire("postgres", "cut"),
    "hang_postgres": on_wire("postgres", "hang"),
    "slow_postgres": on_wire("postgres", "delay", "some"),
    "cut_redis": on_wire("redis", "cut"),
    "hang_redis": on_wire("redis", "hang"),
    "slow_redis": on_wire("redis", "delay", "some"),
    "restart_everything": restart_everything,
    "fill_the_ballot_box": fill_the_ballot_box,
    "jump_clock": jump_clock,
    "drop_sockets": drop_sockets,
}


def plan(seed: int, number: int, *, with_clock: bool) -> list[str]:
    """So many faults in an order that comes from the seed; every kind before any comes again."""
    kinds = [name for name in FAULTS if with_clock or name != "jump_clock"]
    chance = random.Random(f"{seed}/plan")
    planned: list[str] = []
    while len(planned) < number:
        planned += chance.sample(kinds, len(kinds))
    return planned[:number]
