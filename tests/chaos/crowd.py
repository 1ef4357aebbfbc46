"""The people of a chaos run: voters that try again until they are answered, screens that come
back when they are cut off, and an owner. All of them write into the ledger."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import orjson

from tests.chaos.ledger import Closing, Ledger, PollLedger, Screen
from tests.chaos.wire import Dropped, HttpConnection, WatchSocket, request_bytes
from tests.poll_api import Json, PollApi

ANSWER_TIMEOUT_SECS = 4.0
OWNER_PATIENCE_SECS = 60.0
OPTIONS = ["Red", "Green", "Blue", "White"]
_CHANGING_VOTERS = 100
_ASK_AGAIN = 0.05  # of the votes are sent once more after the answer


@dataclass(frozen=True)
class Theme:
    """One poll of the run, and how large its share of the votes is."""

    name: str
    share: float
    fields: dict[str, Any] = field(default_factory=dict)
    is_closed_at_times: bool = False
    is_reset_at_times: bool = False
    screens: float = 0.0


THEMES = [
    Theme("single", 0.40, screens=0.4),
    Theme("closing", 0.15, is_closed_at_times=True, screens=0.2),
    Theme("changing", 0.18, {"kind": "multiple", "max_choices": 3, "vote_change": True},
          screens=0.15),
    Theme("rating", 0.18, {"kind": "rating"}, is_reset_at_times=True, screens=0.15),
    Theme("ranked", 0.02, {"kind": "ranked"}, screens=0.05),
    Theme("hidden", 0.07, {"results_visibility": "owner"}, screens=0.05),
]  # fmt: skip


class Ballots:
    """Who votes what next in one poll."""

    def __init__(self, theme: Theme, poll: Json, seed: int) -> None:
        self.poll = poll
        self.kind: str = poll["kind"]
        self._random = random.Random(f"{seed}/{theme.name}")
        self._prefix = f"{seed}-{poll['id'][:8]}"
        self._number = 0
        self._again: deque[str] = deque()
        self.may_change: bool = poll["vote_change"]

    def next(self) -> tuple[str, dict[str, Any]]:
        """A voter and the body of the vote."""
        if self._again and (self._number >= _CHANGING_VOTERS):
            return self._again.popleft(), self._body()
        self._number += 1
        return f"{self._prefix}-{self._number}", self._body()

    def is_done(self, voter: str) -> None:
        """This voter was answered and may change the vote, where that is allowed."""
        if self.may_change:
            self._again.append(voter)

    def _body(self) -> dict[str, Any]:
        ids = [option["id"] for option in self.poll["options"]]
        chosen = self._random.sample(ids, self._random.randint(1, 3))
        if self.kind == "single":
            return {"choices": chosen[:1]}
        if self.kind == "multiple":
            return {"choices": sorted(chosen)}
        if self.kind == "ranked":
            return {"choices": chosen}
        return {"ratings": {str(one): self._random.randint(1, 5) for one in sorted(chosen)}}


class Crowd:
    """Everybody who uses the site while it breaks.

    Args:
        ports: of the web processes, in order.
        rate: votes a second that are tried at most.

    `sources` gives each connection the address it comes from; None leaves it to the kernel.
    """

    sources: Callable[[], str | None] = staticmethod(lambda: None)

    def __init__(
        self, ledger: Ledger, ports: list[int], *, seed: int, rate: float, workers: int
    ) -> None:
        self.ledger = ledger
        self.ports = ports
        self.voting_ports = ports  # a fault may send all voters to one process
        self.seed = seed
        self.rate = rate
        self.polls: dict[str, tuple[Theme, Json]] = {}
        self.lag_most = 0.0
        self._ballots: list[Ballots] = []
        self._shares: list[float] = []
        self._random = random.Random(f"{seed}/crowd")
        self._workers = workers
        self._voting: set[asyncio.Task[None]] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._permits = asyncio.Semaphore(0)
        self.is_voting = False
        self.is_watching = False
        self.open_screens: set[Screen] = set()
        self._sockets: dict[int, set[WatchSocket]] = {}

    # Polls

    async def make_poll(self, theme: Theme) -> None:
        poll = await self.insist(
            lambda api: api.create(question=theme.name, options=OPTIONS, **theme.fields)
        )
        hidden = poll["results_visibility"] != "always"
        self.ledger.polls[poll["id"]] = PollLedger(poll["kind"], poll["vote_change"], hidden)
        self.polls[theme.name] = (theme, poll)
        self._ballots.append(Ballots(theme, poll, self.seed))
        self._shares.append(theme.share)

    # Voters

    def start_voting(self) -> None:
        self.is_voting = True
        for _ in range(self._workers):
            self._spawn(self._voting, self._vote_on())
        self._spawn(self._voting, self._give_permits())

    async def stop_voting(self) -> None:
        """No new voter begins; each who has begun is answered first."""
        self.is_voting = False
        for _ in range(self._workers):
            self._permits.release()
        if self._voting:
            await asyncio.gather(*self._voting)

    async def _give_permits(self) -> None:
        beat = 0.02
        due = 0.0
        before = time.monotonic()
        while self.is_voting:
            await asyncio.sleep(beat)
            now = time.monotonic()
            self.lag_most = max(self.lag_most, now - before - beat)
            due = min(due + self.rate * (now - before), self.rate)
            before = now
            while due >= 1:
                due -= 1
                if self._permits._value < self._workers:
                    self._permits.release()

    async def _vote_on(self) -> None:
        connections: dict[int, HttpConnection] = {}
        while True:
            await self._permits.acquire()
            if not self.is_voting:
                break
            ballots = self._random.choices(self._ballots, self._shares)[0]
            await self._cast(ballots, connections)
        for connection in connections.values():
            connection.close()
            await connection.gone()

    async def _cast(self, ballots: Ballots, connections: dict[int, HttpConnection]) -> None:
        voter, body = ballots.next()
        poll_id = ballots.poll["id"]
        self.ledger.polls[poll_id].attempted.add(voter)
        marks = orjson.dumps(body.get("choices", body.get("ratings"))).decode()
        request = request_bytes(
            "POST", f"/api/v1/polls/{poll_id}/votes/", orjson.dumps(body),
            {"Idempotency-Key": voter},
        )  # fmt: skip
        pause = 0.05
        asks_again = not ballots.may_change and self._random.random() < _ASK_AGAIN
        while True:
            sent = time.monotonic()
            port = self._random.choice(self.voting_ports)
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_SECS):
                    connection = connections.get(port)
                    if connection is None or not connection.is_open:
                        connection = await HttpConnection.open(port, self.sources())
                        connections[port] = connection
                    status, headers, answer = await connection.ask(request)
            except (OSError, TimeoutError, Dropped) as failure:
                self.ledger.failures[type(failure).__name__] += 1
                if (lost := connections.pop(port, None)) is not None:
                    lost.close()
            else:
                now = time.monotonic()
                self.ledger.note_answer(status, headers, "a vote")
                if status in (200, 201):
                    body = orjson.loads(answer)
                    self.ledger.note_ack(poll_id, voter, marks, status, body, sent, now)
                    if asks_again:
                        asks_again = False
                        continue
                    ballots.is_done(voter)
                    return
                if status == 409 and orjson.loads(answer)["code"] in (
                    "poll_closed", "poll_not_open",
                ):  # fmt: skip
                    return
                if status != 503:
                    self.ledger.violate("answers", f"{status} to a good vote: {answer[:200]!r}")
                    return
            await asyncio.sleep(pause * self._random.uniform(0.5, 1))
            pause = min(pause * 2, 1.0)

    # Screens

    def start_watching(self, number: int) -> None:
        self.is_watching = True
        shares = [theme.screens for theme, _ in self.polls.values()]
        polls = [poll["id"] for _, poll in self.polls.values()]
        chosen = [one for one in polls for _ in self.ports]  # each poll on each process, at least
        chosen += self._random.choices(polls, shares, k=max(0, number - len(chosen)))
        for place, poll_id in enumerate(chosen):
            self._spawn(self._watching, self._watch(poll_id, place % len(self.ports)))

    async def stop_watching(self) -> None:
        self.is_watching = False
        for sockets in self._sockets.values():
            for socket in list(sockets):
                socket.close()
        if self._watching:
            await asyncio.gather(*self._watching)

    def drop_sockets(self, process: int) -> None:
        """Every client of a process is cut off at once, and comes back at once."""
        for socket in list(self._sockets.get(process, ())):
            socket.close()

    def _note_frame(self, screen: Screen, text: bytes) -> None:
        self.ledger.note_frame(screen, text, time.monotonic())

    async def _watch(self, poll_id: str, process: int) -> None:
        pause = 0.05
        while self.is_watching:
            screen = Screen(poll_id, process, time.monotonic())
            socket = WatchSocket(
                f"/ws/polls/{poll_id}/",
                partial(self._note_frame, screen),
            )
            is_good = False
            sockets = self._sockets.setdefault(process, set())
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_SECS):
                    await socket.connect(self.ports[process], self.sources())
                    await socket.opened.wait()
            except (OSError, TimeoutError):
                socket.close()
            else:
                is_good = not socket.closed.is_set()
                sockets.add(socket)
                screen.opened = time.monotonic()
                self.ledger.screens.append(screen)
                self.open_screens.add(screen)
                await socket.closed.wait()
                screen.ended = time.monotonic()
                self.open_screens.discard(screen)
                sockets.discard(socket)
                if socket.close_code >= 4000:
                    self.ledger.violate("answers", f"a good socket was closed: {socket.close_code}")
            pause = 0.05 if is_good else min(pause * 2, 1.0)
            if self.is_watching:
                process = self._random.randrange(len(self.ports))
                await asyncio.sleep(pause * self._random.uniform(0.2, 1))

    # Owner

    async def insist(self, act: Callable[[PollApi], Awaitable[Json]]) -> Json:
        """An owner's act, tried until it is answered with success.

        Waits for an answer as long as it takes: a request that was given up could still be
        done, at an unknown moment.
        """
        pause = 0.1
        while True:
            port = self._random.choice(self.ports)
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(
                base_url=url, timeout=OWNER_PATIENCE_SECS, trust_env=False
            ) as http:
                try:
                    return await act(PollApi(http))
                except (httpx.TransportError, AttributeError):
                    pass  # the latter is anyio's, of a connection cut in its first moment
                except httpx.HTTPStatusError as refused:
                    answer = refused.response
                    self.ledger.note_answer(
                        answer.status_code, dict(answer.headers), answer.request.url.path
                    )
                    if answer.status_code < 500:
                        raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def own(self) -> None:
        """Close, open and reset what may be, with pauses, for as long as there is voting."""
        while self.is_voting:
            await asyncio.sleep(self._random.uniform(0.3, 1.5))
            theme, poll = self._random.choice(list(self.polls.values()))
            if theme.is_reset_at_times:
                if self._random.random() < 0.5:
                    await self.insist(partial(_reset, poll))
                continue
            for theme, poll in self.polls.values():
                if theme.is_closed_at_times:
                    closing = await self.close(poll)
                    await asyncio.sleep(self._random.uniform(0.2, 0.8))
                    await self.open_again(poll, closing)

    async def close(self, poll: Json) -> Closing:
        """Close a poll, and note at which tally."""
        await self.insist(lambda api: api.act(poll, "close"))
        acknowledged = time.monotonic()
        authorization = f"Bearer {poll['owner_key']}"
        results = await self.insist(
            partial(PollApi.results, poll=poll, authorization=authorization)
        )
        if not results["final"]:
            self.ledger.violate("final", f"{poll['id']} is not final after its close")
        version = (results["epoch"], results["version"])
        closing = Closing(version, acknowledged, float("inf"))
        self.ledger.polls[poll["id"]].closings.append(closing)
        return closing

    async def open_again(self, poll: Json, closing: Closing) -> None:
        closings = self.ledger.polls[poll["id"]].closings
        closings[closings.index(closing)] = closing._replace(reopened=time.monotonic())
        await self.insist(lambda api: api.act(poll, "open"))

    async def close_all(self) -> None:
        for _, poll in self.polls.values():
            await self.close(poll)

    def _spawn(self, tasks: set[asyncio.Task[None]], work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _reset(poll: Json, api: PollApi) -> Json:
    return await api.act(poll, "reset")


async def until(check: Callable[[], bool], within_secs: float | None) -> bool:
    """Whether `check` says yes in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_secs):
            while not check():  # noqa: ASYNC110 (what is awaited knows nothing of us)
                await asyncio.sleep(0.02)
            return True
    return False
