"""Reads: results requests/s with and without If-None-Match, beside the same server's echo."""

from collections.abc import Sequence

from bench import machine
from bench.ballots import get_requests, vote_requests
from bench.stage import Running, Stage
from bench.web_load import Answers, WebLoad

PART = "reads"
SOME_VOTES = 100


async def read(
    ports: Sequence[int], path: str, headers: list[str], *, clients: int, seconds: float,
    repeats: int, warm_up_seconds: float,
) -> list[Answers]:  # fmt: skip
    load = WebLoad(ports, clients)
    await load.open()
    found = []
    for period in [warm_up_seconds, *[seconds] * repeats]:
        found.append(await load.flood(get_requests(path, *headers), period))
        if found[-1].bad:
            raise RuntimeError(f"{found[-1].bad} reads failed: {found[-1].statuses}")
    load.close()
    return found[1:]


async def vote_some(running: Running, poll_id: str) -> None:
    load = WebLoad(running.ports, 8)
    await load.open()
    await load.flood(vote_requests([poll_id], SOME_VOTES), 10)
    load.close()


def run(stage: Stage) -> None:
    with stage.livepoll() as running:
        poll_id = running.create_poll()
        stage.run(vote_some(running, poll_id))
        path = f"/api/v1/polls/{poll_id}/results/"
        tag = running.api.get(path).headers["etag"]
        _report(stage, "results", running, path, [])
        _report(stage, "results, If-None-Match", running, path, [f"If-None-Match: {tag}"])
    with stage.app("bench.echo:application", env={}) as running:
        _report(stage, "bare ASGI echo", running, "/", [])


def _report(stage: Stage, case: str, running: Running, path: str, headers: list[str]) -> None:
    measure(stage, PART, case, running.pids, running.ports, path, headers)


def measure(
    stage: Stage, part: str, case: str, pids: list[int], ports: list[int], path: str,
    headers: list[str],
) -> None:  # fmt: skip
    """Report requests/s of one path at the processes `pids`."""
    sizes = stage.sizes
    before = machine.cpu_seconds(pids)
    found = stage.run(
        read(ports, path, headers, clients=sizes.voters, seconds=sizes.seconds,
             repeats=sizes.repeats, warm_up_seconds=sizes.warm_up_seconds)
    )  # fmt: skip
    busy = machine.cpu_seconds(pids) - before
    stage.report.add(
        part, case, "requests/s", "requests/s", [one.per_second for one in found],
        clients=sizes.voters,
        p99=f"{found[len(found) // 2].percentile_ms(99):.1f} ms",
        server_core=f"{busy / (sizes.warm_up_seconds + sum(one.seconds for one in found)):.0%}",
    )  # fmt: skip
