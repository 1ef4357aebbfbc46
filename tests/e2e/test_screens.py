"""Votes become moving bars: every screen on every process follows, in order, to the end."""

import asyncio
import sys
from collections.abc import Sequence

import pytest

from tests.e2e.clients import apis_of, check_agreement, screens_on
from tests.e2e.conftest import SiteBackend, StartSite
from tests.e2e.harness import ROOT, Server
from tests.replay.elections import REPLAYED
from tests.sizes import sized

VOTES = sized(short=150, long=400)
SCREENS = sized(short=50, long=200)
ALIKE = [
    pytest.param("servers", ["uvicorn", "uvicorn"], marks=pytest.mark.servers, id="uvicorn x2"),
    pytest.param("servers", ["daphne", "daphne"], marks=pytest.mark.servers, id="daphne x2"),
]
SITES = [
    *sized(short=[], long=ALIKE),  # the hall below has two alike as well
    pytest.param("servers", ["uvicorn", "daphne"], marks=pytest.mark.servers, id="one of each"),
    pytest.param("embedded", ["uvicorn"], id="uvicorn embedded"),
    pytest.param("embedded", ["daphne"], id="daphne embedded"),
]


@pytest.mark.parametrize(("backend", "servers"), SITES)
async def test_every_screen_follows_to_the_last_vote(
    start_site: StartSite, backend: SiteBackend, servers: Sequence[Server]
) -> None:
    site = start_site(backend, server=servers)
    async with apis_of(site) as apis:
        poll = await apis[0].create()
        async with screens_on(site, poll, each=10) as screens:
            voters = iter(range(VOTES))

            async def keep_voting() -> None:
                for number in voters:
                    api = apis[number % len(apis)]
                    await api.vote(poll, 1 + number % 3, voter=f"voter {number}")

            async with asyncio.TaskGroup() as group:
                for _ in range(16):
                    group.create_task(keep_voting())
            results = await check_agreement(site, apis, poll, screens)
            assert results["version"] == results["voters"] == VOTES
            assert not results["final"]
            await apis[-1].act(poll, "close")
            for screen in screens:
                final = await screen.shows_final()
                assert (final["version"], final["counts"]) == (VOTES, results["counts"])
                kinds = [frame["type"] for _, frame in screen.frames]
                sent = [kind for kind in kinds if kind in ("poll", "results")]
                assert sent[-2:] == ["poll", "results"]


@pytest.mark.servers
async def test_a_hall_of_screens_follows_a_real_election(start_site: StartSite) -> None:
    site = start_site(processes=2)
    async with apis_of(site) as apis:
        poll = await apis[0].create(question="Who?", options=list(REPLAYED.first_preferences))
        async with screens_on(site, poll, each=SCREENS // 2) as screens:
            replay = await asyncio.create_subprocess_exec(
                *(sys.executable, "manage.py", "replay_ballots", str(REPLAYED.file)),
                *("--poll", poll["code"], "--rate", "0", "--url", site[1].url),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            printed = (await replay.communicate())[0].decode()
            assert f"acknowledged {REPLAYED.votes:,}" in printed
            results = await check_agreement(site, apis, poll, screens)
            assert results["version"] == results["voters"] == REPLAYED.votes
            named = {one["text"]: results["counts"][str(one["id"])] for one in poll["options"]}
            assert named == REPLAYED.first_preferences
            assert max(screen.results_a_second() for screen in screens) <= 10.5
            assert min(len(screen.frames) for screen in screens) > 5
