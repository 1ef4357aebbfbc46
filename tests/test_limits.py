"""Limits, origins and headers as strangers meet them: real processes with RATE_LIMITS=on."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from deploy.local_servers import PrivateRedis
from tests.chaos.crowd import until
from tests.chaos.wire import WatchSocket, frame_bytes
from tests.e2e.conftest import (
    StartSite,
    _site_to_share,
    embedded_database,
    embedded_template,
    own_redis,
    servers_database,
    servers_template,
    shared_site,
    start_site,
)
from tests.e2e.harness import Server, Site
from tests.poll_api import Json

__all__ = [
    "_site_to_share", "embedded_database", "embedded_template", "own_redis", "servers_database",
    "servers_template", "shared_site", "start_site",
]  # fmt: skip

pytestmark = pytest.mark.e2e

VOTES = 20
# A long window, so that none of it runs out while a test counts.
ON = {"RATE_LIMITS": "on", "RATE_VOTES": f"{VOTES}/hour", "RATE_POLLS": "1000/hour"}


@contextmanager
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        yield http


def make_poll(site: Site) -> Json:
    with client(site.url) as http:
        made: Json = http.post(
            "/api/v1/polls/", json={"question": "Which?", "options": ["Red", "Green"]}
        ).json()
        return made


def vote(url: str, poll: Json, number: int, **headers: str) -> httpx.Response:
    with client(url) as http:
        return http.post(
            f"/api/v1/polls/{poll['id']}/votes/",
            json={"choices": [1]},
            headers={"Idempotency-Key": f"voter {number}", **headers},
        )


def vote_often(site: Site, poll: Json, number: int, headers: Any = None) -> Counter[int]:
    """So many votes at once, dealt out to the processes in turn; how they were answered."""
    urls = [process.url for process in site]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda n: vote(urls[n % len(urls)], poll, n, **(headers(n) if headers else {})),
            range(number),
        )
        return Counter(answer.status_code for answer in answers)


# Rates


@pytest.mark.servers
def test_two_processes_count_votes_of_an_address_together(start_site: StartSite) -> None:
    site = start_site(processes=2, env=ON)
    assert vote_often(site, make_poll(site), 2 * VOTES) == {201: VOTES, 429: VOTES}


def test_one_process_counts_by_itself_without_redis(start_site: StartSite) -> None:
    site = start_site("embedded", env=ON)
    assert vote_often(site, make_poll(site), 2 * VOTES) == {201: VOTES, 429: VOTES}


@pytest.mark.servers
@pytest.mark.chaos
def test_without_redis_each_process_counts_by_itself(
    start_site: StartSite, own_redis: PrivateRedis
) -> None:
    site = start_site(processes=2, redis_url=own_redis.url, env=ON)
    poll = make_poll(site)
    own_redis.kill()
    assert vote_often(site, poll, 4 * VOTES) == {201: 2 * VOTES, 429: 2 * VOTES}


def test_a_refusal_says_when_to_come_again(start_site: StartSite) -> None:
    site = start_site("embedded", env=ON | {"RATE_VOTES": "1/minute"})
    poll = make_poll(site)
    counted = vote(site.url, poll, 1)
    assert counted.status_code == 201
    refused = vote(site.url, poll, 2)
    assert refused.status_code == 429
    foreign = vote(site.url, poll, 3, Origin="https://evil.example")
    assert foreign.status_code == 403
    for answer in (counted, refused, foreign):
        assert len(answer.headers.get_list("X-Request-ID")) == 1
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("path", ["", "results/"], ids=["ordinary", "raw"])
def test_making_polls_and_guessing_are_limited_too(start_site: StartSite, path: str) -> None:
    limits = {"RATE_LIMITS": "on", "RATE_POLLS": "3/hour", "RATE_MISSES": "4/hour"}
    site = start_site("embedded", env=limits)
    poll = make_poll(site)
    with client(site.url) as http:
        body = {"question": "Which?", "options": ["Red", "Green"]}
        made = [http.post("/api/v1/polls/", json=body).status_code for _ in range(4)]
        assert made == [201, 201, 429, 429]
        guessed = [http.get(f"/api/v1/polls/ZZZZZ{n}/{path}").status_code for n in range(2, 8)]
        assert guessed == [404, 404, 404, 404, 429, 429]
        # Who has guessed too often finds nothing by code any more, not even what is there.
        assert http.get(f"/api/v1/polls/{poll['code']}/{path}").status_code == 429
        assert http.get(f"/api/v1/polls/{poll['id']}/{path}").status_code == 200


def test_off_switches_every_rate_off_and_no_bound(start_site: StartSite) -> None:
    limits = {"RATE_VOTES": "1/hour", "RATE_POLLS": "1/hour", "RATE_MISSES": "1/hour"}
    limits |= {"MAX_SOCKETS": "4", "SOCKET_FRAMES_PER_SECOND": "1", "RATE_LIMITS": "off"}
    site = start_site("embedded", env=limits)
    polls = [make_poll(site) for _ in range(3)]
    assert vote_often(site, polls[0], 10) == {201: 10}
    with client(site.url) as http:
        assert {http.get("/api/v1/polls/ZZZZZZ/").status_code for _ in range(4)} == {404}

    async def watch() -> None:
        sockets = [await open_socket(site, polls[0]) for _ in range(4)]
        sockets[0].send(frame_bytes(b'{"type":"ping"}') * 30)
        assert not await until(sockets[0].closed.is_set, 0.5)
        assert await close_code(await open_socket(site, polls[0])) == 4429
        for socket in sockets:
            assert socket.status == 101
            socket.close()
            await socket.closed.wait()

    asyncio.run(watch())


# Whose address


CLAIMS = ("10.0.0.{}", "10.0.0.{}:4711", "10.0.0.{}, 127.0.0.1")


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_a_forged_address_has_no_effect(start_site: StartSite, server: Server) -> None:
    site = start_site("embedded", server=server, env=ON)
    forged = lambda n: {"X-Forwarded-For": CLAIMS[n % len(CLAIMS)].format(n)}  # noqa: E731
    assert vote_often(site, make_poll(site), 2 * VOTES, forged) == {201: VOTES, 429: VOTES}
    for claim in CLAIMS:
        headers = {"X-Forwarded-For": claim.format(2 * VOTES)}
        assert vote(site.url, make_poll(site), 0, **headers).status_code == 429, claim


def test_behind_a_proxy_its_own_entry_counts_and_no_other(start_site: StartSite) -> None:
    site = start_site("embedded", env=ON | {"TRUSTED_PROXIES": "1"})
    poll = make_poll(site)
    claims = lambda n: {"X-Forwarded-For": f"10.0.0.{n}, 192.0.2.1"}  # noqa: E731
    assert vote_often(site, poll, 2 * VOTES, claims) == {201: VOTES, 429: VOTES}
    assert vote(site.url, poll, 999, **{"X-Forwarded-For": "192.0.2.2"}).status_code == 201


# Sockets


async def open_socket(site: Site, poll: Json, **headers: str) -> WatchSocket:
    socket = WatchSocket(f"/ws/polls/{poll['id']}/", headers=headers)
    await socket.connect(site.processes[0].port)
    assert await until(socket.opened.is_set, 5)
    return socket


async def close_code(socket: WatchSocket) -> int:
    assert await until(socket.closed.is_set, 5)
    return socket.close_code


@pytest.mark.parametrize("limit", ["MAX_SOCKETS", "MAX_SOCKETS_PER_ADDRESS"])
def test_too_many_sockets_are_closed_and_room_comes_back(start_site: StartSite, limit: str) -> None:
    site = start_site("embedded", env={"RATE_LIMITS": "on", limit: "2"})
    poll = make_poll(site)

    async def watch() -> None:
        first, second = [await open_socket(site, poll) for _ in range(2)]
        assert await close_code(await open_socket(site, poll)) == 4429
        first.close()
        await first.closed.wait()
        async with asyncio.timeout(5):
            while True:  # the server learns of it a moment later
                third = await open_socket(site, poll)
                if not await until(third.closed.is_set, 0.2):
                    break
        for socket in (second, third):
            socket.close()
            await socket.closed.wait()

    asyncio.run(watch())


def test_too_many_frames_close_the_socket(start_site: StartSite) -> None:
    site = start_site("embedded", env={"RATE_LIMITS": "on", "SOCKET_FRAMES_PER_SECOND": "5"})
    poll = make_poll(site)

    async def watch() -> None:
        socket = await open_socket(site, poll)
        socket.send(frame_bytes(b'{"type":"ping"}') * 30)
        assert await close_code(socket) == 4429

    asyncio.run(watch())


def test_a_frame_that_is_too_large_closes_the_socket(shared_site: Site) -> None:
    poll = make_poll(shared_site)

    async def watch() -> None:
        socket = await open_socket(shared_site, poll)
        for _ in range(6):  # five are complained about
            socket.send(frame_bytes(b'{"type":"' + b"x" * 4096 + b'"}'))
        assert await close_code(socket) == 4400

    asyncio.run(watch())


# Origins


LET_IN = ("", "{own}", "https://pages.example")
SENT_AWAY = (
    "http://pages.example", "https://pages.example.evil.example", "https://evil.example", "null",
)  # fmt: skip


def test_pages_of_other_origins_may_neither_watch_nor_vote(start_site: StartSite) -> None:
    site = start_site("embedded", env={"ALLOWED_ORIGINS": "https://pages.example"})
    poll = make_poll(site)

    def headers(origin: str, own: str) -> dict[str, str]:
        return {"Origin": origin.format(own=own)} if origin else {}

    async def watch(origin: str) -> int:
        # The raw socket's Host has no port.
        socket = await open_socket(site, poll, **headers(origin, "http://127.0.0.1"))
        await until(socket.closed.is_set, 0.3)
        code = socket.close_code if socket.closed.is_set() else 0
        socket.close()
        await socket.closed.wait()
        return code

    async def watch_from_all() -> dict[str, int]:
        origins = LET_IN + SENT_AWAY
        return dict(zip(origins, await asyncio.gather(*map(watch, origins)), strict=True))

    assert asyncio.run(watch_from_all()) == dict.fromkeys(LET_IN, 0) | dict.fromkeys(
        SENT_AWAY, 4403
    )
    answers = {
        origin: vote(site.url, poll, number, **headers(origin, site.url)).status_code
        for number, origin in enumerate(LET_IN + SENT_AWAY)
    }
    assert answers == dict.fromkeys(LET_IN, 201) | dict.fromkeys(SENT_AWAY, 403)


# Headers and cookies


def cookie_of(answer: httpx.Response) -> set[str]:
    return {part.strip().partition("=")[0] for part in answer.headers["Set-Cookie"].split(";")}


def test_the_voter_cookie_is_shut_in_and_secure_where_the_proxy_says_https(
    start_site: StartSite, shared_site: Site
) -> None:
    behind = start_site("embedded", env={"TRUSTED_PROXIES": "1"})
    for site, is_secure in ((behind, True), (shared_site, False)):
        poll = make_poll(site)
        answer = vote(site.url, poll, 1, **({"X-Forwarded-Proto": "https"} if is_secure else {}))
        assert {"HttpOnly", "SameSite"} <= cookie_of(answer)
        assert ("Secure" in cookie_of(answer)) is is_secure
    plain = vote(behind.url, make_poll(behind), 1, **{"X-Forwarded-Proto": "http"})
    assert "Secure" not in cookie_of(plain)


def test_pages_and_answers_carry_security_headers(shared_site: Site) -> None:
    poll = make_poll(shared_site)
    with client(shared_site.url) as http:
        pages = ["/", "/new/", *(f"/p/{poll['code']}/{one}" for one in ("", "live/", "manage/"))]
        for path in pages:
            page = http.get(path)
            assert page.status_code == 200, path
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "'unsafe-inline'" not in policy
            assert "'unsafe-eval'" not in policy
            assert "object-src 'none'" in policy
            assert "base-uri 'none'" in policy
        paths = [*pages, f"/api/v1/polls/{poll['id']}/", f"/api/v1/polls/{poll['id']}/results/"]
        for path in [*paths, "/api/v1/none/", "/static/web/css/base.css"]:
            assert http.get(path).headers["X-Content-Type-Options"] == "nosniff", path
        assert http.get("/").headers["Referrer-Policy"] == "same-origin"
