"""What making a poll costs: CPU of the web process, and polls/s, beside plain."""

import itertools
import json
from collections.abc import Iterator

from bench import machine
from bench.stage import OPTIONS, Running, Stage
from bench.web_load import Answers, WebLoad

PART = "create"
_BODY = json.dumps({"question": "Which colour?", "options": OPTIONS}).encode()
_REQUEST = (
    b"POST /api/v1/polls/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
CLIENTS = 8


async def create(running: Running, seconds: float) -> Answers:
    load = WebLoad(running.ports, CLIENTS)
    await load.open()
    requests: Iterator[bytes] = itertools.repeat(_REQUEST)
    found = await load.flood(requests, seconds)
    load.close()
    if found.bad:
        raise RuntimeError(f"{found.bad} polls were not made: {found.statuses}")
    return found


def run(stage: Stage) -> None:
    with stage.livepoll() as running:
        _report(stage, "livepoll", running)
    with stage.plain() as running:
        _report(stage, "plain, daphne", running)


def _report(stage: Stage, case: str, running: Running) -> None:
    sizes = stage.sizes
    stage.run(create(running, sizes.warm_up_seconds))
    costs, rates = [], []
    for _ in range(sizes.repeats):
        before = machine.cpu_seconds(running.pids)
        found = stage.run(create(running, sizes.seconds))
        costs.append((machine.cpu_seconds(running.pids) - before) * 1000 / found.good)
        rates.append(found.per_second)
    stage.report.add(PART, case, "CPU a poll", "ms", costs, clients=CLIENTS)
    stage.report.add(PART, case, "polls/s", "polls/s", rates, clients=CLIENTS)
