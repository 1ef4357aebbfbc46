"""Casts ballots over the public REST API, many at a time, at a steady rate.

A ballot is sent until the server has decided it: lost connections, 429 and 502 to 504
are tried again with full jitter, never sooner than `Retry-After` says. It gives up, as
a whole, only when nothing was decided for `patience_seconds`.

It speaks through httpx's transport, below its client: that costs half the time a request,
and keeps no cookies, since each ballot is another voter.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from replay.ballots import Ballot
from replay.pace import Pace

TRY_AGAIN = frozenset({429, 502, 503, 504})
TIMEOUTS = {"timeout": httpx.Timeout(15.0).as_dict()}  # seconds
ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1)
BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MOST_SECONDS = 5.0


class OutOfPatience(Exception):
    """The server decided nothing within `patience_seconds`; has the report."""


@dataclass(slots=True)
class Report:
    """What became of the ballots. Times are from first send to decision, retries included."""

    cast: int = 0  # newly recorded
    repeated: int = 0  # recorded by an earlier run or an earlier try
    refused: Counter[str] = field(default_factory=Counter)  # by problem code
    retries: int = 0
    seconds: list[float] = field(default_factory=list)
    gave_up: str = ""  # why it ended early, if it did

    @property
    def acknowledged(self) -> int:
        return self.cast + self.repeated

    @property
    def decided(self) -> int:
        return self.acknowledged + self.refused.total()

    def percentile_ms(self, percent: int) -> float:
        """The latency in ms that `percent` of the decided ballots did not exceed; 0 if none."""
        if not self.seconds:
            return 0.0
        ordered = sorted(self.seconds)
        return 1000 * ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


class Caster:
    """One replay over `concurrency` connections to `url`, the poll's votes endpoint."""

    def __init__(
        self,
        *,
        url: str,
        per_second: float,
        concurrency: int,
        patience_seconds: float,
        on_decided: Callable[[Report], None] = lambda report: None,
    ) -> None:
        self._url = httpx.URL(url)
        self._pace = Pace(per_second)
        self._concurrency = concurrency
        self._patience_seconds = patience_seconds
        self._on_decided = on_decided
        self._stopping = asyncio.Event()
        self._last_decision = 0.0
        self.report = Report()

    def stop(self) -> None:
        """Send no further ballot; those under way are still awaited."""
        self._stopping.set()

    async def cast_all(self, ballots: Sequence[Ballot]) -> Report:
        """Cast every ballot, or as many as there was time for before `stop`."""
        waiting = iter(ballots)
        ssl_context = httpx.create_ssl_context()
        self._last_decision = asyncio.get_running_loop().time()

        async def keep_casting() -> None:
            # A connection each: a shared pool spends its time looking for a free one.
            async with httpx.AsyncHTTPTransport(
                verify=ssl_context, limits=ONE_CONNECTION, trust_env=False
            ) as transport:
                for ballot in waiting:
                    await self._pace.wait()
                    if self._stopping.is_set():
                        return
                    await self._cast(transport, ballot)

        workers = min(self._concurrency, len(ballots))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(keep_casting())
        except* OutOfPatience as given_up:
            self.report.gave_up = str(given_up.exceptions[0])
        return self.report

    async def _cast(self, transport: httpx.AsyncHTTPTransport, ballot: Ballot) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        tries = 0
        while True:
            asked_seconds = 0.0
            try:
                response = await transport.handle_async_request(self._request(ballot))
                await response.aread()
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if response.status_code not in TRY_AGAIN:
                    break
                problem = f"{response.status_code} {problem_code(response)}"
                asked_seconds = retry_after(response)
            deadline = max(started, self._last_decision) + self._patience_seconds
            if loop.time() >= deadline:
                raise OutOfPatience(problem)
            if self._stopping.is_set():
                return
            tries += 1
            self.report.retries += 1
            await self._back_off(tries, asked_seconds, deadline - loop.time())
        self._last_decision = loop.time()
        self._count(response, self._last_decision - started)

    def _request(self, ballot: Ballot) -> httpx.Request:
        return httpx.Request(
            "POST",
            self._url,
            content=ballot.body,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": ballot.idempotency_key,
            },
            extensions=TIMEOUTS,
        )

    def _count(self, response: httpx.Response, seconds: float) -> None:
        if response.status_code == HTTPStatus.CREATED:
            self.report.cast += 1
        elif response.is_success:
            self.report.repeated += 1
        else:
            self.report.refused[problem_code(response)] += 1
        self.report.seconds.append(seconds)
        self._on_decided(self.report)

    async def _back_off(self, tries: int, asked_seconds: float, most_seconds: float) -> None:
        """Sleep with full jitter on top of what the server asked for; `stop` ends it."""
        ceiling = min(BACKOFF_MOST_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** min(tries, 10))
        delay = min(asked_seconds + random.uniform(0, ceiling), most_seconds)
        try:
            await asyncio.wait_for(self._stopping.wait(), delay)
        except TimeoutError:
            return


def retry_after(response: httpx.Response) -> float:
    """Seconds the server asked to wait; 0 where it did not say (livepoll never sends a date)."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def problem_code(response: httpx.Response) -> str:
    """The `code` of a problem+json body, or `http_<status>` where something else answered."""
    try:
        body = response.json()
    except ValueError:
        body = None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) else f"http_{response.status_code}"
