"""A hall behind one Wi-Fi address is an honest crowd: 5,000 phones, with the limits as they are
by default. Counted in process, on a clock of the test's own; what a request comes to is a stub."""

from collections import Counter
from typing import Any

import pytest

from livepoll.counters import Counters, OwnWindows
from livepoll.rate_limits import RateLimits
from polls import errors
from polls.http.attempts import current_attempts
from polls.http.request import RawRequest
from polls.http.response import refuse, respond
from polls.rules.credentials import Credential
from tests.limits.test_counters import Clock

PHONES = 5_000
SOCKETS = 5_200
HALL = "198.51.100.1"
POLL_ID = "0b9f3f0e-5e0c-4d4c-9c56-0f3a7c4ce001"
JOIN_CODE = "K7QM2X"
ARRIVING_SECS = 60
VOTING_SECS = 60
# Of a hundred phones, how many…
TYPE_A_WRONG_JOIN_CODE = 5
TYPE_A_WRONG_VOTER_CODE = 10
BRING_A_STALE_COOKIE = 30


class Hall:
    """One address before the application; `statuses` counts what it got."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        limits = RateLimits(Counters("", OwnWindows(clock=clock)))
        self._django = limits.django(self._answer)
        self._vote = limits.raw(self._answer, "votes")
        self._sockets = limits.sockets(self._accept)
        self.statuses: Counter[tuple[str, int]] = Counter()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """As the application: the right credentials are known by what they are."""
        request = RawRequest.of(scope)
        attempts = current_attempts.get()
        path: str = scope["path"]
        error: errors.PollError | None = None
        if path.startswith("/p/") and JOIN_CODE not in path:
            error = errors.PollNotFound()
        elif b"cookie" in request.headers:
            error = errors.InvalidCookie()
        elif b"x-code" in request.headers:
            try:
                await attempts.check(Credential.VOTER_CODE, poll=POLL_ID)
            except errors.RateLimited as limited:
                error = limited
            if request.header(b"x-code") == "wrong":
                error = error or errors.InvalidVoterCode()
        if error is not None:
            ref = path.strip("/").split("/")[1 if path.startswith("/p/") else 3]
            counted = await attempts.count(error, poll=ref)
            await respond(send, counted.status, b"", [])
            return
        if path.startswith("/p/"):
            attempts.found(JOIN_CODE)
        await respond(send, 200, b"", [])

    async def _accept(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 1000})

    async def ask(self, what: str, method: str, path: str, **headers: str) -> int:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "websocket" if path.startswith("/ws/") else "http",
            "method": method, "path": path, "client": (HALL, 1), "scheme": "http",
            "headers": [(b"host", b"localhost"), *(
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            )],
        }  # fmt: skip
        is_vote = method == "POST" and path.endswith("/votes/")
        application = self._vote if is_vote else self._django
        if path.startswith("/ws/"):
            application = self._sockets
        await application(scope, None, send)
        status = int(sent[-1].get("code") or sent[0]["status"])
        self.statuses[what, status] += 1
        return status

    def wait(self, seconds: float) -> None:
        self._clock.now += seconds


@pytest.fixture
def hall(settings: Any) -> Hall:
    settings.RATE_LIMITS, settings.REDIS_URL = True, ""
    return Hall(Clock())


async def test_five_thousand_phones_behind_one_address_all_vote(hall: Hall) -> None:
    for number in range(PHONES):
        hall.wait(ARRIVING_SECS / PHONES)
        if number % 100 < TYPE_A_WRONG_JOIN_CODE:
            assert await hall.ask("wrong join code", "GET", "/p/ZZZZZZ/") == 404
        assert await hall.ask("page", "GET", f"/p/{JOIN_CODE}/") == 200
        assert await hall.ask("token", "POST", "/api/v1/voters/") == 200
        await hall.ask("socket", "GET", f"/ws/polls/{POLL_ID}/")
    votes = f"/api/v1/polls/{POLL_ID}/votes/"
    for number in range(PHONES):
        hall.wait(VOTING_SECS / PHONES)
        if number % 100 < BRING_A_STALE_COOKIE:
            assert await hall.ask("stale", "POST", votes, cookie="voter=x") in (401, 429)
        if number % 100 < TYPE_A_WRONG_VOTER_CODE:
            await hall.ask("wrong voter code", "POST", votes, x_code="wrong")
        assert await hall.ask("vote", "POST", votes, x_code="right") == 200
    assert hall.statuses["vote", 200] == PHONES
    assert hall.statuses["socket", 1000] == PHONES
    # All mistyped codes were answered as such: neither the address's limit nor the poll's was met.
    assert hall.statuses["wrong voter code", 403] == PHONES * TYPE_A_WRONG_VOTER_CODE // 100


async def test_all_at_one_moment_are_through_within_twenty_seconds(hall: Hall) -> None:
    """Who is too many comes again when `Retry-After` says, as pages do."""
    waiting, seconds = PHONES, 0
    while waiting:
        assert seconds <= 20
        for _ in range(waiting):
            if await hall.ask("vote", "POST", f"/api/v1/polls/{POLL_ID}/votes/") == 200:
                waiting -= 1
        hall.wait(1)
        seconds += 1
    assert hall.statuses["vote", 200] == PHONES


async def test_one_who_guesses_in_the_hall_stops_no_page_and_no_vote_by_device(hall: Hall) -> None:
    assert await hall.ask("page", "GET", f"/p/{JOIN_CODE}/") == 200
    votes = f"/api/v1/polls/{POLL_ID}/votes/"
    for _ in range(5_000):
        await hall.ask("guess", "POST", votes, x_code="wrong")
        hall.wait(0.01)
    assert hall.statuses["guess", 429] > 3_000
    assert await hall.ask("page", "GET", f"/p/{JOIN_CODE}/") == 200
    assert await hall.ask("vote", "POST", votes) == 200
    assert await hall.ask("socket", "GET", f"/ws/polls/{POLL_ID}/") == 1000


async def test_the_hub_has_room_for_the_sockets_of_a_hall(settings: Any) -> None:
    from realtime.hub import running_hub, stop_hub

    settings.RATE_LIMITS = True
    hub = running_hub()
    assert all(hub.admit(HALL) for _ in range(SOCKETS))
    for _ in range(SOCKETS):
        hub.dismiss(HALL)
    await stop_hub()


def test_the_stub_refuses_as_the_raw_endpoints_do() -> None:
    """They count by `refuse`, which the stub does by hand."""
    assert "current_attempts" in refuse.__code__.co_names
