"""Servers that die: what was acknowledged stays, and screens find the way back."""

import asyncio
from collections.abc import Callable

import pytest

from deploy.local_servers import PrivateRedis
from tests.e2e.clients import Line, Screen, api_at, apis_of, check_agreement, lines_to, screens_on
from tests.e2e.conftest import SiteBackend, StartSite
from tests.e2e.harness import Server
from tests.poll_api import PollApi

pytestmark = pytest.mark.chaos

SITES = [
    pytest.param("servers", "uvicorn", marks=pytest.mark.servers, id="uvicorn"),
    pytest.param("servers", "daphne", marks=pytest.mark.servers, id="daphne"),
    pytest.param("embedded", "uvicorn", id="uvicorn embedded"),
]


@pytest.mark.parametrize(("backend", "server"), SITES)
async def test_acknowledged_votes_survive_kill_9(
    start_site: StartSite, backend: SiteBackend, server: Server
) -> None:
    site = start_site(backend, server=server)
    acknowledged: set[str] = set()
    async with api_at(site.url) as api, lines_to(site, each=16) as lines:
        poll = await api.create()

        async def keep_voting(line: Line, worker: int) -> None:
            while True:
                voter = f"voter-{worker}-{len(acknowledged)}"
                try:
                    status, _ = await line.vote(poll, 1, voter=voter)
                except (ConnectionError, asyncio.IncompleteReadError):
                    return
                assert status == 201
                acknowledged.add(voter)
                if len(acknowledged) == 300:
                    site[0].kill()

        await asyncio.gather(*(keep_voting(line, worker) for worker, line in enumerate(lines)))
    site[0].start()
    async with api_at(site.url) as api, screens_on(site, poll, each=1) as screens:
        async with Line(site.url) as line:
            answers = [await line.vote(poll, 1, voter=voter) for voter in acknowledged]
        assert {status for status, _ in answers} == {200}
        results = await check_agreement(site, [api], poll, screens)
        assert len(acknowledged) <= results["version"] <= len(acknowledged) + 16


@pytest.mark.servers
@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_without_redis_screens_follow_and_are_live_again_after(
    start_site: StartSite, own_redis: PrivateRedis, server: Server
) -> None:
    env = {"RECONCILE_INTERVAL_MS": "2000"}
    site = start_site(processes=2, server=server, redis_url=own_redis.url, env=env)
    async with apis_of(site) as apis:
        poll = await apis[0].create()
        async with screens_on(site, poll, each=3) as screens:
            await apis[0].vote(poll, 1, voter="before")
            for screen in screens:
                await screen.shows(1, within_secs=2)
            own_redis.kill()
            for number in range(20):
                async with asyncio.timeout(1):
                    await apis[0].vote(poll, 2, voter=f"without {number}")
            async with Screen(site[1].ws_url, poll) as newcomer:
                for screen in [*screens, newcomer]:
                    await screen.shows(21, within_secs=10)
            own_redis.start()
            await becomes_live(apis[0], screens[-1], lambda number: f"after {number}", poll["id"])
            await check_agreement(site, apis, poll, screens)


async def becomes_live(
    api: PollApi, screen: Screen, voter: Callable[[int], str], poll_id: str
) -> None:
    """Vote until five votes in a row are on the other process's screen sooner than reconciling."""
    in_a_row = 0
    for number in range(100):
        answer = await api.vote({"id": poll_id}, 3, voter=voter(number))
        try:
            await screen.shows(answer["results"]["version"], within_secs=0.5)
        except AssertionError:
            in_a_row = 0
            continue
        in_a_row += 1
        if in_a_row == 5:
            return
    raise AssertionError("it does not become live again")
