"""What goes wrong elsewhere: one voter twice at once, retries in parallel, stale reads."""

import asyncio
import random
from collections import Counter

import pytest

from tests.e2e.clients import apis_of, check_agreement, count_votes, lines_to
from tests.e2e.conftest import StartSite
from tests.e2e.harness import Server
from tests.sizes import sized

TWICE = sized(short=60, long=200)
RETRIED = sized(short=100, long=300)
READ = sized(short=20, long=50)
EDITED = sized(short=20, long=300)

pytestmark = pytest.mark.servers


@pytest.mark.parametrize(
    ("second_choice", "answers"),
    [(1, [200, 201]), (2, [201, 409])],
    ids=["the same choice", "another choice"],
)
async def test_one_voter_twice_at_once_counts_once(
    start_site: StartSite, second_choice: int, answers: list[int]
) -> None:
    site = start_site(processes=2)
    async with apis_of(site) as apis, lines_to(site, each=1) as lines:
        poll = await apis[0].create()
        for number in range(TWICE):
            responses = await asyncio.gather(
                lines[number % 2].vote(poll, 1, voter=f"voter-{number}"),
                lines[1 - number % 2].vote(poll, second_choice, voter=f"voter-{number}"),
            )
            assert sorted(status for status, _ in responses) == answers
            votes = [answer["vote"] for _, answer in responses]
            assert votes[0] == votes[1]
            assert votes[0]["seq"] == number + 1
        results = await check_agreement(site, apis, poll, [])
        assert results["version"] == results["voters"] == TWICE


async def test_a_storm_of_retries_changes_no_total(start_site: StartSite) -> None:
    site = start_site(processes=2)
    chance = random.Random(7)
    choices = {f"voter {number}": chance.randint(1, 3) for number in range(RETRIED)}
    async with apis_of(site) as apis:
        poll = await apis[0].create()

        async def vote_three_times(voter: str) -> Counter[int]:
            responses = await asyncio.gather(
                *(chance.choice(apis).send_vote(poll, choices[voter], voter=voter)
                  for _ in range(3))
            )  # fmt: skip
            return Counter(response.status_code for response in responses)

        answers = await asyncio.gather(*map(vote_three_times, choices))
        assert answers == [Counter({200: 2, 201: 1})] * RETRIED
        results = await check_agreement(site, apis, poll, [])
        assert results["version"] == RETRIED
        wanted = Counter(choices.values())
        assert results["counts"] == {str(option): wanted[option] for option in (1, 2, 3)}


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_who_has_voted_reads_it_on_any_process(start_site: StartSite, server: Server) -> None:
    site = start_site(processes=2, server=server)
    async with apis_of(site) as apis, lines_to(site, each=10) as lines:
        poll = await apis[0].create()

        async def vote_and_read(worker: int) -> None:
            pair = lines[2 * worker : 2 * worker + 2]
            for number in range(READ):
                here, there = pair if number % 2 else reversed(pair)
                status, answer = await here.vote(poll, 2, voter=f"voter-{worker}-{number}")
                assert status == 201
                read = await there.results(poll)
                assert read["version"] >= answer["results"]["version"] >= answer["vote"]["seq"]
                assert sum(read["counts"].values()) == read["voters"] == read["version"]

        await asyncio.gather(*(vote_and_read(worker) for worker in range(10)))
        assert count_votes(site, poll) == {"1": 0, "2": 10 * READ, "3": 0}


async def test_a_page_is_never_older_than_an_acknowledged_edit(start_site: StartSite) -> None:
    """From any process, while others read it all the time and keep what they have read."""
    site = start_site(processes=2)
    chance = random.Random()
    async with apis_of(site) as apis:
        poll = await apis[0].create()
        page, place = f"/p/{poll['code']}/", f"/api/v1/polls/{poll['id']}/"
        paths = (page, f"{page}live/", place, "/api/v1/polls/")
        status, ended = "open", asyncio.Event()

        async def read_on() -> None:
            while not ended.is_set():
                await chance.choice(apis).http.get(chance.choice(paths))

        readers = [asyncio.create_task(read_on()) for _ in range(8)]
        for number in range(EDITED):
            question = f"Question {number} of {EDITED}?"
            await chance.choice(apis).change(poll, question=question)
            if chance.random() < 0.5:
                status = {"open": "paused", "paused": "open"}[status]
                await chance.choice(apis).act(poll, {"open": "open", "paused": "pause"}[status])
            seen = await asyncio.gather(*(api.http.get(path) for api in apis for path in paths))
            for response in seen:
                assert response.status_code == 200
                assert question in response.text, response.url
                assert f'"{status}"' in response.text, response.url
        ended.set()
        await asyncio.gather(*readers)
