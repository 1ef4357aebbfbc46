"""Real ballots against real servers, killed half-way and started again: the same totals."""

import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import SiteBackend, StartSite
from tests.e2e.harness import ROOT, wait_until
from tests.replay.elections import DEBIAN, REPLAYED
from tests.sizes import sized


def replay(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "replay_ballots", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=90)
    assert process.returncode == 0, printed
    return printed


FIRST_RATE = sized(short="200", long="0")  # the short election would be over before the kill
BACKENDS = [
    "embedded",
    *sized(short=[], long=[pytest.param("servers", marks=pytest.mark.servers)]),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_election_killed_half_way_ends_on_its_totals(
    backend: SiteBackend, start_site: StartSite
) -> None:
    site = start_site(backend, processes=2 if backend == "servers" else 1)
    with httpx.Client(base_url=f"{site.url}/api/v1/polls/", trust_env=False) as api:
        options = list(REPLAYED.first_preferences)
        poll = api.post("", json={"question": "Who?", "options": options}).json()

        def results() -> dict[str, Any]:
            answer: dict[str, Any] = api.get(f"{poll['id']}/results/").json()
            return answer

        arguments = (str(REPLAYED.file), "--poll", poll["code"])
        with replay(*arguments, "--rate", FIRST_RATE, "--url", site.url) as first:
            try:
                some = REPLAYED.votes // 9
                wait_until(
                    lambda: results()["version"] > some, what=f"{some} votes", timeout_secs=60
                )
            finally:
                first.kill()
        assert results()["version"] < REPLAYED.votes
        printed = finished(replay(*arguments, "--rate", "0", "--url", site.processes[-1].url))
        assert f"acknowledged {REPLAYED.votes:,}" in printed
        assert "refused 0" in printed
        final = results()
    assert (final["version"], final["voters"]) == (REPLAYED.votes, REPLAYED.votes)
    named = {option["text"]: final["counts"][str(option["id"])] for option in poll["options"]}
    assert named == REPLAYED.first_preferences


def test_a_ranked_poll_is_created_and_decided(start_site: StartSite) -> None:
    site = start_site("embedded")
    printed = finished(replay(str(DEBIAN), "--kind", "ranked", "--rate", "0", "--url", site.url))
    assert "acknowledged 436 (436 new, 0 repeated), refused 0" in printed
    [poll] = httpx.get(f"{site.url}/api/v1/polls/", trust_env=False).json()["results"]
    results = httpx.get(poll["links"]["results"], trust_env=False).json()
    assert results["voters"] == 436
    assert results["winner"] == 1
