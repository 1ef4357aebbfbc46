"""What the load client can do by itself: requests/s against nginx, which answers in C."""

import time

from bench import machine
from bench.ballots import vote_requests
from bench.peers import PeerMissing, nginx
from bench.stage import Stage
from bench.web_load import WebLoad

PART = "client"


async def ask_nginx(port: int, voters: int, seconds: float, repeats: int) -> list[float]:
    load = WebLoad([port], voters, marker=b'"seq":')
    await load.open()
    rates = []
    for _ in range(repeats):
        requests = vote_requests(["echo"], int(60_000 * seconds))
        fixed = iter([request.replace(b"/api/v1/polls/echo/votes/", b"/echo", 1)
                      for request in requests])  # fmt: skip
        answers = await load.flood(fixed, seconds)
        if answers.bad:
            raise RuntimeError(f"{answers.bad} requests failed: {answers.statuses}")
        rates.append(answers.per_second)
    load.close()
    return rates


def run(stage: Stage) -> None:
    sizes = stage.sizes
    try:
        with nginx(stage.folder / "nginx-echo") as (pid, port):
            before, start = machine.cpu_seconds([pid]), time.perf_counter()
            rates = stage.run(ask_nginx(port, sizes.voters, sizes.seconds, sizes.repeats))
            busy = (machine.cpu_seconds([pid]) - before) / (time.perf_counter() - start)
    except PeerMissing as missing:
        stage.report.remark(str(missing))
        return
    stage.report.add(
        PART, "the same votes to nginx", "requests/s", "requests/s", rates,
        clients=sizes.voters, nginx_core=f"{busy:.0%}",
    )  # fmt: skip
