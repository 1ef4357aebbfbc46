"""SIGTERM: first no new client is taken, then screens are sent elsewhere, and no vote is lost."""

import asyncio

import pytest

from tests.e2e.clients import Line, Screen, api_at, check_agreement, lines_to
from tests.e2e.conftest import SiteBackend, StartSite
from tests.e2e.harness import wait_until
from tests.poll_api import Json

RESTARTING = 1012


async def vote_until_refused(line: Line, poll: Json, worker: int) -> set[str]:
    """Vote as ever new voters until the server takes no more; who was acknowledged."""
    acknowledged: set[str] = set()
    while True:
        voter = f"voter-{worker}-{len(acknowledged)}"
        status, answer = await line.vote(poll, 1, voter=voter)
        if status == 503:
            assert answer["code"] == "overloaded"
            return acknowledged
        assert status == 201
        acknowledged.add(voter)


@pytest.mark.parametrize(
    "backend", ["embedded", pytest.param("servers", marks=pytest.mark.servers)]
)
async def test_a_server_that_stops_closes_every_socket_in_order(
    start_site: StartSite, backend: SiteBackend
) -> None:
    site = start_site(backend, env={"DRAIN_SECONDS": "1"})
    async with api_at(site.url) as api, lines_to(site, each=8) as lines:
        poll = await api.create()
        async with Screen(site.ws_url, poll) as screen:
            voting = [
                asyncio.create_task(vote_until_refused(line, poll, worker))
                for worker, line in enumerate(lines)
            ]
            await screen.shows(100)
            site[0].terminate()
            acknowledged = set().union(*await asyncio.gather(*voting))
            assert (await api.http.get("/readyz")).status_code == 503
            assert (await api.http.get("/healthz")).status_code == 200
            refused = await api.send_vote(poll, 1, voter="late")
            assert int(refused.headers["Retry-After"]) > 0
            await screen.shows(len(acknowledged))
            assert (await api.results(poll))["version"] == len(acknowledged)
            await screen.until(lambda: screen.close_code is not None, what="the end")
            assert screen.close_code == RESTARTING
            screen.check_order()
    wait_until(lambda: not site[0].running, what="the process ends")
    site[0].restart()
    async with api_at(site.url) as api:
        results = await check_agreement(site, [api], poll, [])
        assert results["version"] == len(acknowledged)


async def test_a_second_sigterm_stops_at_once(start_site: StartSite) -> None:
    site = start_site("embedded", env={"DRAIN_SECONDS": "60"})
    async with api_at(site.url) as api:
        site[0].terminate()
        async with asyncio.timeout(5):
            while (await api.http.get("/readyz")).status_code != 503:
                pass
    site[0].terminate()
    wait_until(lambda: not site[0].running, what="the process ends")
