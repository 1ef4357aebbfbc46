"""The hostile clients as a process of their own: `python -m tests.hostile.attack` with a target.

Prints one JSON object at its end: what they were answered, and how many connections they had.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence

import orjson
import uvloop

from tests.hostile.clients import SHARES, Enemy, Kind, Target, play

_PAUSE_SECS = (0.5, 3.0)
_BEAT_SECS = 0.1
# Where it is long, this process was late, and not the server with its responses.
_PAUSE = "own longest pause in ms"
# The hostile share few addresses, the honest have one each.
ADDRESSES = 16
_NICE = 10  # the honest clients' own work goes first: they are what is measured


def cast(connections: int, names: Collection[str]) -> list[Kind]:
    """Which kind each connection plays, the kinds of a share in turns."""
    kinds: list[Kind] = []
    whole = sum(SHARES[name][0] for name in names)
    for share, functions in (SHARES[name] for name in names):
        number = max(len(functions), connections * share // whole)
        kinds += [functions[place % len(functions)] for place in range(number)]
    return kinds


async def attack(
    target: Target, kinds: Sequence[Kind], *, seconds: float, seed: int
) -> Counter[str]:
    """Play visits, each client one after the other, until the time is over."""
    seen: Counter[str] = Counter()

    async def one(place: int, kind: Kind) -> None:
        chance = random.Random(f"{seed}/{place}")
        source = f"127.66.0.{1 + place % ADDRESSES}"
        await asyncio.sleep(chance.uniform(0, min(5.0, seconds / 4)))
        while True:
            await play(kind, Enemy(target, source, chance, seen))
            seen["visits"] += 1
            await asyncio.sleep(chance.uniform(*_PAUSE_SECS))

    tasks = [asyncio.create_task(one(*pair)) for pair in enumerate(kinds)]
    end = time.monotonic() + seconds
    while (before := time.monotonic()) < end:
        await asyncio.sleep(_BEAT_SECS)
        pause_ms = round((time.monotonic() - before - _BEAT_SECS) * 1000)
        seen[_PAUSE] = max(seen[_PAUSE], pause_ms)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.hostile.attack", description=__doc__)
    for name in ("--port", "--connections", "--seed"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--kinds", nargs="+", choices=SHARES, required=True)
    for name in ("--poll", "--code-poll", "--account"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    os.nice(_NICE)
    target = Target(options.port, options.poll, options.code_poll, options.account)
    kinds = cast(options.connections, options.kinds)
    seen = uvloop.run(attack(target, kinds, seconds=options.seconds, seed=options.seed))
    sys.stdout.buffer.write(orjson.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
