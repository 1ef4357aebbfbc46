"""Closed means closed: for every voter, on every process and on every screen."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.clients import Line, apis_of, check_agreement, count_votes, lines_to, screens_on
from tests.e2e.conftest import SiteBackend, StartSite
from tests.e2e.harness import Server
from tests.poll_api import Json
from tests.sizes import sized

ROUNDS = sized(short=6, long=20)
VOTERS = 50


async def vote_until_closed(line: Line, poll: Json, worker: int) -> int:
    """Vote as ever new voters at full speed; how many votes were acknowledged."""
    acknowledged = 0
    while True:
        voter = f"voter-{worker}-{acknowledged}"
        status, answer = await line.vote(poll, 1 + worker % 3, voter=voter)
        if status == 409:
            assert answer["code"] == "poll_closed"
            return acknowledged
        assert status == 201
        acknowledged += 1


@pytest.mark.servers
async def test_a_close_in_a_storm_of_votes_is_final(start_site: StartSite) -> None:
    site = start_site(processes=2)
    async with apis_of(site) as apis, lines_to(site, each=VOTERS // 2) as lines:
        for number in range(ROUNDS):
            poll = await apis[0].create()
            async with screens_on(site, poll, each=1) as screens:
                storm = [
                    asyncio.create_task(vote_until_closed(line, poll, worker))
                    for worker, line in enumerate(lines)
                ]
                await screens[0].shows(VOTERS)
                closed = await apis[number % 2].act(poll, "close")
                counted = count_votes(site, poll)
                acknowledged = sum(await asyncio.gather(*storm))
                for screen in screens:
                    await screen.shows_final()
                results = await check_agreement(site, apis, poll, screens)
            assert closed["status"] == results["status"] == "closed"
            assert results["final"] is True
            assert results["counts"] == counted
            assert results["version"] == results["voters"] == acknowledged


SITES = [
    pytest.param("servers", "uvicorn", marks=pytest.mark.servers, id="uvicorn x2"),
    pytest.param("servers", "daphne", marks=pytest.mark.servers, id="daphne x2"),
    pytest.param("embedded", "uvicorn", id="uvicorn embedded"),
]


@pytest.mark.alone
@pytest.mark.parametrize(("backend", "server"), SITES)
async def test_the_clock_closes_a_poll_on_every_screen_within_250_ms(
    start_site: StartSite, backend: SiteBackend, server: Server
) -> None:
    site = start_site(backend, processes=2 if backend == "servers" else 1, server=server)
    async with apis_of(site) as apis:
        at = datetime.now(UTC) + timedelta(seconds=2)
        poll = await apis[0].create(closes_at=at.isoformat())
        async with screens_on(site, poll, each=20) as screens:
            assert time.time() < at.timestamp()
            await apis[0].vote(poll, 1, voter="ann")
            for screen in screens:
                final = await screen.shows_final()
                assert final["version"] == 1
            finals = [came for screen in screens for came, frame in screen.frames
                    if frame["type"] == "poll" or frame.get("final")]  # fmt: skip
        assert len(finals) == 2 * len(screens)
        assert at.timestamp() <= min(finals)
        assert max(finals) - at.timestamp() < 0.25
        assert (await apis[-1].send_vote(poll, 1, voter="ben")).json()["code"] == "poll_closed"
