"""Guesses by socket: identify frames, headers of the handshake, join codes in the path."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.limits.conftest import BehindLimits
from tests.poll_api import Json, PollApi, owner_headers
from tests.realtime.asgi_socket import AsgiSocket
from tests.realtime.conftest import api

__all__ = ["api"]

ALLOWED = 3


class Watching:
    """A poll behind limits, watched from addresses of the test's choice."""

    def __init__(self, poll: Json, codes: list[str], application: Any) -> None:
        self.poll = poll
        self.codes = codes
        self._application = application

    def socket(
        self, number: int = 1, ref: str = "", headers: dict[str, str] | None = None
    ) -> AsgiSocket:
        return AsgiSocket(
            f"/ws/polls/{ref or self.poll['id']}/",
            headers,
            address=f"192.0.2.{number}",
            to=self._application,
        )


@pytest.fixture
async def watching(api: PollApi, behind_limits: BehindLimits) -> AsyncIterator[Watching]:
    poll = await api.create(voter_policy="code", results_visibility="after_vote")
    path = f"/api/v1/polls/{poll['id']}/voter-codes/"
    made = await api.http.post(path, json={"count": 2}, headers=owner_headers(poll))
    codes = [one["code"] for one in made.json()["codes"]]
    yield Watching(poll, codes, behind_limits(RATE_MISSES=f"{ALLOWED}/hour"))
    await asyncio.sleep(0)


async def until_refused(socket: AsgiSocket, frame: Json) -> int:
    """How many of these frames are read before one is refused with `rate_limited`."""
    for number in range(ALLOWED + 2):
        socket.send(frame)
        socket.send({"type": "ping"})
        while (answer := await socket.next())["type"] != "pong":
            if answer.get("code") == "rate_limited":
                return number
    return ALLOWED + 2


@pytest.mark.parametrize(
    "proof",
    [
        {"voter_code": "AAAA-AAAA"},
        {"owner_key": "owner_wrong"},
        {"voter_token": "x.y"},
        {"access_token": "x.y.z"},
    ],
    ids=lambda proof: next(iter(proof)),
)
async def test_wrong_proofs_in_identify_frames_are_limited(
    watching: Watching, proof: dict[str, str]
) -> None:
    frame = {"type": "identify", **proof}
    async with watching.socket() as socket:
        assert await until_refused(socket, frame) == ALLOWED
        await socket.nothing_before_pong()  # it stays: who shares the address goes on watching
    async with watching.socket(2) as elsewhere:
        assert (await elsewhere.next())["type"] == "snapshot"


async def test_codes_are_guessed_by_frames_and_requests_under_one_count(
    watching: Watching, api: PollApi
) -> None:
    async with watching.socket() as socket:
        await until_refused(socket, {"type": "identify", "voter_code": "AAAA-AAAA"})
        # The right one is refused unseen.
        socket.send({"type": "identify", "voter_code": watching.codes[0]})
        while (frame := await socket.next())["type"] != "error":
            pass
        assert frame["code"] == "rate_limited"
    async with watching.socket(headers={"Voter-Code": watching.codes[0]}) as refused:
        assert await refused.close_code() == 4429


async def test_join_codes_in_paths_are_limited(watching: Watching) -> None:
    for ref in ("ZZZZZ2", "ZZZZZ3", "ZZZZZ4"):
        async with watching.socket(ref=ref) as socket:
            assert await socket.close_code() == 4404
    async with watching.socket(ref="ZZZZZ5") as socket:
        assert await socket.close_code() == 4429
    async with watching.socket() as by_id:
        assert (await by_id.next())["type"] == "snapshot"


async def test_a_stale_cookie_counts_and_shuts_no_screen_out(watching: Watching) -> None:
    for _ in range(ALLOWED + 2):
        async with watching.socket(headers={"Cookie": "voter=x.y"}) as socket:
            assert (await socket.next())["type"] == "snapshot"


async def test_a_right_code_is_no_miss(watching: Watching) -> None:
    async with watching.socket() as socket:
        frame = {"type": "identify", "voter_code": watching.codes[0]}
        assert await until_refused(socket, frame) == ALLOWED + 2
