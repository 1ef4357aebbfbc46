"""Every benchmark still runs to its end: figures for every case, however large or small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT
from tests.sizes import sized

# By part, what each of its cases is called; what needs a peer (nginx, Node, pgbench) may be there.
CASES = {
    "fan-out": {
        "livepoll, uvicorn", "livepoll, daphne", "livepoll, uvicorn, 2 processes",
        "livepoll, embedded default, by votes", "plain, daphne",
    },
    "votes": {
        *(f"livepoll, {of}, {polls}{clients}" for polls in ("one poll", "3 polls")
          for of, clients in (("one process", ""), ("two processes", ""), ("SQLite", ""),
                              ("one process", ", 8 clients"), ("two processes", ", 8 clients"))),
        "livepoll, one process, three changes a voter",
        "livepoll, daphne, one poll", "plain, daphne", "livepoll, empty table",
        "livepoll, full table, other polls", "livepoll, full table, same poll",
    },
    "vote to screen": {
        f"livepoll, {screens} screens, {rate} votes/s"
        for screens in (10, 20) for rate in ("500", "1,000")
    },
    "sockets": {"livepoll, uvicorn", "livepoll, embedded default"},
    "rooms": {"livepoll, uvicorn, 20 rooms"},
    "arrival": {
        "livepoll, uvicorn, 10 phones", "livepoll, embedded default, 10 phones",
        "plain, daphne, 3 phones",
    },
    "busy": {
        "livepoll, votes", "livepoll, results", "livepoll, vote page", "livepoll, vote to screen",
    },
    "storm": {"livepoll, restart under 20 screens"},
    "reads": {"results", "results, If-None-Match", "bare ASGI echo"},
    "pages": {
        "vote page", "vote page, first visit", "vote page, If-None-Match", "poll object",
        "poll object, If-None-Match", "live page", "start page", "list", "bare ASGI echo",
        "plain, vote page", "plain, poll object",
    },
    "create": {"livepoll", "plain, daphne"},
    "ranked": {
        "single choice, vote by vote", "ranked, from no ballots", "first count of 100 ballots",
        "ranked, vote by vote at 100 ballots", "ranked, from 100 ballots",
    },
    "memory": {"livepoll, 400 votes"},
}  # fmt: skip


# In the short form what clients meet first; the long form takes all.
PARTS = sized(short=("votes", "reads", "pages", "create"), long=tuple(CASES))
NAMES = {"fan-out": "fanout", "vote to screen": "latency"}


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_benchmark_has_figures_for_every_case(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", *(NAMES.get(one, one) for one in PARTS), "--smallest",
         "--json", str(file)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    found: dict[str, set[str]] = {part: set() for part in PARTS}
    for row in json.loads(file.read_text())["rows"]:
        assert row["values"], row
        found.setdefault(row["part"], set()).add(row["case"])
    missing = {part: CASES[part] - found[part] for part in PARTS}
    assert not any(missing.values()), missing
