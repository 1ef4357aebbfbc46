"""A rolling restart of two processes behind a proxy, under 500 votes a second."""

import asyncio
import random
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
import uvloop

from deploy.local_servers import GuardedProcess, free_port, private_folder
from deploy.nginx_config import local_config
from tests.chaos.checker import Store
from tests.chaos.crowd import OPTIONS, Crowd
from tests.chaos.ledger import Ledger
from tests.chaos.rig import Rig, raised_rig
from tests.chaos.wire import Answer, Dropped, HttpConnection, WatchSocket, request_bytes
from tests.e2e.harness import wait_until
from tests.sizes import LONG

pytestmark = [
    pytest.mark.alone, pytest.mark.chaos, pytest.mark.servers, pytest.mark.timeout(180),
]  # fmt: skip

RATE = 500 if LONG else 200
EXIT_SECS = 10.0
ANSWER_TIMEOUT_SECS = 10.0
SOCKETS = 20
PROXY_NOTICES_SECS = 2.0  # docs/operations.md asks for this pause


@dataclass
class Voting:
    """What came of the votes."""

    acknowledged: dict[str, tuple[int, int]] = field(default_factory=dict)
    firsts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    closed: Counter[int] = field(default_factory=Counter)
    exits: list[tuple[int, float]] = field(default_factory=list)


@contextmanager
def proxied(rig: Rig) -> Iterator[list[int]]:
    """Where voters connect: nginx with the configuration that we ship, or without it each
    process itself, one chosen anew for every try."""
    nginx = shutil.which("nginx")
    if nginx is None:
        yield rig.ports
        return
    port = free_port()
    folder = rig.folder / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(local_config(folder=folder, port=port, upstream_ports=rig.ports))
    log = folder / "nginx.log"
    process = GuardedProcess([nginx, "-c", str(config), "-e", "stderr"], log=log)
    try:
        wait_until(lambda: _listens(port), what="nginx listens")
        yield [port]
    finally:
        process.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def vote(
    ports: list[int], path: str, voter: str, voting: Voting, pool: list[HttpConnection]
) -> None:
    """One vote with one retry, as a good client makes it: after Retry-After, with jitter."""
    choice = random.randint(1, len(OPTIONS))
    body = orjson.dumps({"choices": [choice]})
    request = request_bytes("POST", path, body, {"Idempotency-Key": voter})
    answer = await _try(ports, request, pool)
    if not isinstance(answer, Answer) or answer.status not in (200, 201):
        what = str(answer.status) if isinstance(answer, Answer) else answer
        voting.firsts[what] += 1
        pause = float(answer.headers.get("retry-after", 1)) if isinstance(answer, Answer) else 0.5
        await asyncio.sleep(pause * random.uniform(1, 1.2))
        answer = await _try(ports, request, pool)
    if isinstance(answer, Answer) and answer.status in (200, 201):
        voting.acknowledged[voter] = (orjson.loads(answer.body)["vote"]["seq"], choice)
    else:
        voting.lost.append(f"{voter}: {answer!r}")


async def _try(ports: list[int], request: bytes, pool: list[HttpConnection]) -> Answer | str:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_SECS):
            while pool:
                connection = pool.pop()
                if connection.is_open:
                    break
            else:
                connection = await _connect(ports)
            answer = await connection.ask(request)
    except (OSError, TimeoutError, Dropped) as failure:
        return type(failure).__name__
    if len(ports) == 1:
        pool.append(connection)
    else:
        connection.close()
    return answer


async def _connect(ports: list[int]) -> HttpConnection:
    """To any; where nobody listens, to the next one, as nginx does."""
    first, *others = random.sample(ports, len(ports))
    try:
        return await HttpConnection.open(first)
    except ConnectionRefusedError:
        if not others:
            raise
        return await _connect(others)


async def watch(rig: Rig, process: int, path: str, voting: Voting, ended: asyncio.Event) -> None:
    while not ended.is_set():
        watching = WatchSocket(path)
        try:
            await watching.connect(rig.ports[process])
        except OSError:
            await asyncio.sleep(0.1)
            continue
        closed, over = [asyncio.create_task(one.wait()) for one in (watching.closed, ended)]
        await asyncio.wait([closed, over], return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if closed.done() and watching.status == 101:
            voting.closed[watching.close_code] += 1
        watching.close()
        await closed


async def roll(rig: Rig, ports: list[int], ledger: Ledger) -> tuple[Voting, str]:
    voting = Voting()
    crowd = Crowd(ledger, rig.ports, seed=1, rate=0, workers=0)
    poll = await crowd.insist(lambda api: api.create(options=OPTIONS))
    path = f"/api/v1/polls/{poll['id']}/votes/"
    ended = asyncio.Event()
    watchers = [
        asyncio.create_task(watch(rig, n % 2, f"/ws/polls/{poll['id']}/", voting, ended))
        for n in range(SOCKETS)
    ]
    votes: set[asyncio.Task[None]] = set()
    pool: list[HttpConnection] = []
    rolling = asyncio.create_task(_restart_each(rig, voting))
    started = time.monotonic()
    number = 0
    while not rolling.done():
        due = int((time.monotonic() - started) * RATE)
        while number < due:
            number += 1
            task = asyncio.create_task(vote(ports, path, f"roll-{number}", voting, pool))
            votes.add(task)
            task.add_done_callback(votes.discard)
        await asyncio.sleep(0.005)
    await rolling
    while votes:
        await asyncio.wait(set(votes))
    ended.set()
    await asyncio.gather(*watchers)
    for connection in pool:
        connection.close()
    await asyncio.sleep(0)
    return voting, poll["id"]


async def _restart_each(rig: Rig, voting: Voting) -> None:
    await asyncio.sleep(1)
    for web in rig.webs:
        stopped = time.monotonic()
        code = await asyncio.to_thread(web.stop)
        voting.exits.append((code, time.monotonic() - stopped))
        await asyncio.to_thread(web.start)
        await asyncio.sleep(PROXY_NOTICES_SECS)


def test_a_rolling_restart_loses_no_vote_and_one_retry_mends_every_error() -> None:
    env = {"TRUSTED_PROXIES": "1"}
    with private_folder() as folder, raised_rig(folder, env=env) as rig, proxied(rig) as ports:
        voting, poll_id = uvloop.run(roll(rig, ports, Ledger()))
        stored = {row.seq: row.marks for row in Store(rig.database_url).votes(poll_id)}
    print(
        f"rolling restart behind {'nginx' if len(ports) == 1 else 'the client'}: "
        f"{len(voting.acknowledged)} votes acknowledged at {RATE}/s, first tries that failed "
        f"{dict(voting.firsts)}, lost after one retry {len(voting.lost)}; exits "
        + ", ".join(f"{code} after {secs:.1f} s" for code, secs in voting.exits)
        + f"; sockets closed {dict(voting.closed)}"
    )
    assert voting.lost == []
    assert len(stored) == len(voting.acknowledged)
    assert all(stored[seq] == f"[{choice}]" for seq, choice in voting.acknowledged.values())
    assert all(code == 0 and secs < EXIT_SECS for code, secs in voting.exits)
    assert set(voting.closed) == {1012}
    assert voting.closed[1012] >= SOCKETS  # who comes back at once may be sent away again


def test_nginx_runs_on_a_folder_of_its_own(tmp_path: Path) -> None:
    """What `proxied` relies on: nothing of nginx's is written elsewhere."""
    text = local_config(folder=tmp_path, port=1, upstream_ports=[2, 3])
    assert f'pid "{tmp_path / "nginx.pid"}"' in text
