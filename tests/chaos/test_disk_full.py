"""The embedded default on a disk that fills up: votes are refused, not lost, and go on when
there is room again."""

import resource
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.chaos.checker import Store
from tests.e2e.conftest import StartSite

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files: Linux"),
]

ROOM_BYTES = 200_000
TRIES_MOST = 3_000


def test_a_full_disk_refuses_votes_and_loses_none(start_site: StartSite) -> None:
    site = start_site("embedded")
    web = site[0]
    folder = Path(site.database_url.removeprefix("sqlite:///")).parent
    acknowledged: dict[int, int] = {}
    answers: Counter[int] = Counter()
    with httpx.Client(base_url=web.url, trust_env=False, timeout=30) as http:
        poll = http.post(
            "/api/v1/polls/", json={"question": "Which?", "options": ["Red", "Green"]}
        ).json()

        def vote(number: int) -> int:
            choice = 1 + number % 2
            http.cookies.clear()  # another voter each time
            answer = http.post(
                f"/api/v1/polls/{poll['id']}/votes/",
                json={"choices": [choice]},
                headers={"Idempotency-Key": f"voter {number}"},
            )
            answers[answer.status_code] += 1
            if answer.status_code == 503:
                assert answer.json()["code"] == "overloaded"
                assert int(answer.headers["Retry-After"]) >= 1
            else:
                acknowledged[answer.json()["vote"]["seq"]] = choice
            return answer.status_code

        assert vote(0) == 201
        largest = max(file.stat().st_size for file in folder.iterdir() if file.is_file())
        before = resource.prlimit(web.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(web.pid, resource.RLIMIT_FSIZE, (largest + ROOM_BYTES, before[1]))
        number = 1
        while vote(number) != 503:
            number += 1
            assert number < TRIES_MOST, "the disk never filled up"
        for again in range(5):  # and it stays refused, for every voter
            vote(number + again)
        assert http.get("/healthz").status_code == 200
        results = http.get(f"/api/v1/polls/{poll['id']}/results/")
        assert results.status_code in (200, 503)
        resource.prlimit(web.pid, resource.RLIMIT_FSIZE, before)
        for again in range(5):
            assert vote(number + again) in (200, 201)
        shown = http.get(f"/api/v1/polls/{poll['id']}/results/").json()
    assert set(answers) <= {200, 201, 503}
    stored = {row.seq: row.marks for row in Store(site.database_url).votes(poll["id"])}
    assert all(stored[seq] == f"[{choice}]" for seq, choice in acknowledged.items())
    assert sorted(stored) == list(range(1, len(stored) + 1))
    assert shown["version"] == shown["voters"] == len(stored)
    print(f"full after {number} votes: {dict(answers)}, {len(stored)} stored")
