"""The command from end to end, against an API that behaves and one that does not."""

import asyncio
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from replay.caster import Report
from replay.pace import Pace
from replay.progress import Progress
from tests.replay.elections import DEBIAN, REPLAYED, ROOT
from tests.replay.fake_polls import FakePolls, running
from tests.replay.test_preflib import HEADER

LUNCH = ["Soup", "Salad: green", "Bread"]


@pytest.fixture
def lunch_file(tmp_path: Path) -> Path:
    path = tmp_path / "lunch.toi"
    path.write_text(HEADER + "30: 1,2\n20: 2,{1,3}\n9: 3\n1: {1,2},3\n")
    return path


def replay(file: Path, polls: FakePolls, *args: str) -> str:
    """Run the command at full speed; answers what it printed."""
    out = io.StringIO()
    call_command("replay_ballots", str(file), "--url", polls.url, "--rate", "0", *args, stdout=out)
    return out.getvalue()


@pytest.mark.slow
def test_an_election_ends_on_its_first_preferences() -> None:
    with running(FakePolls([])) as polls:
        printed = replay(REPLAYED.file, polls)
    votes, (leader, most) = REPLAYED.votes, next(iter(REPLAYED.first_preferences.items()))
    assert polls.counts() == REPLAYED.first_preferences
    assert polls.created[0]["question"] == REPLAYED.title
    assert polls.created[0]["kind"] == "single"
    assert f"acknowledged {votes:,} ({votes:,} new, 0 repeated), refused 0" in printed
    assert f"{votes + REPLAYED.without_one:,} ballots" in printed
    assert "owner-key" in printed
    assert "K7QM2X" in printed
    assert f"{polls.url}/dashboard" in printed
    assert f"{most:,}  {leader}" in printed
    assert not polls.cookies


def test_ballots_without_a_first_preference_are_counted_apart(tmp_path: Path) -> None:
    file = tmp_path / "ties.toi"
    file.write_text(HEADER + "3: 1,2\n2: {1,2},3\n")
    with running(FakePolls(LUNCH)) as polls:
        printed = replay(file, polls, "--poll", "K7QM2X")
    assert "5 ballots, 2 without a first preference" in printed
    assert len(polls.votes) == 3


def test_ranked_ballots_are_sent_whole_or_up_to_their_first_tie() -> None:
    with running(FakePolls([])) as polls:
        replay(DEBIAN, polls, "--kind", "ranked")
        assert len(polls.votes) == 436
        assert polls.created[0]["kind"] == "ranked"
        assert "max_choices" not in polls.created[0]  # the server's default is all of them
        assert list(polls.votes.values()).count([1, 2, 4, 5, 3]) == 39


def test_a_tie_cuts_a_ranked_ballot(lunch_file: Path) -> None:
    with running(FakePolls(LUNCH, kind="ranked")) as polls:
        replay(lunch_file, polls, "--poll", "K7QM2X")
    sent = sorted(polls.votes.values())
    assert sent == [[1, 2]] * 30 + [[2]] * 20 + [[3]] * 9


def test_options_are_matched_by_name_not_by_place(lunch_file: Path) -> None:
    with running(FakePolls(["Water", "Bread", "Salad: green", "Soup"])) as polls:
        replay(lunch_file, polls, "--poll", "K7QM2X")
    assert polls.counts() == {"Soup": 30, "Salad: green": 20, "Bread": 9}


def test_a_second_run_is_the_same_voters(lunch_file: Path) -> None:
    with running(FakePolls(LUNCH)) as polls:
        replay(lunch_file, polls, "--poll", "K7QM2X")
        printed = replay(lunch_file, polls, "--poll", "K7QM2X")
    assert len(polls.votes) == 59
    assert "acknowledged 59 (0 new, 59 repeated)" in printed


def test_refusals_that_pass_are_tried_again(lunch_file: Path) -> None:
    def every_third(number: int) -> tuple[int, dict[str, str], str] | None:
        status = {0: 503, 1: 429, 2: 502}[number % 9 // 3]
        return (status, {"Retry-After": "0"}, "overloaded") if number % 3 == 0 else None

    with running(FakePolls(LUNCH, answer_vote=every_third)) as polls:
        printed = replay(lunch_file, polls, "--poll", "K7QM2X")
    assert len(polls.votes) == 59
    assert "acknowledged 59" in printed
    assert "refused 0, retries 29" in printed


def test_a_vote_whose_answer_is_lost_is_sent_again_and_counts_once(lunch_file: Path) -> None:
    with running(FakePolls(LUNCH, dropped_tries={2, 11, 30})) as polls:
        printed = replay(lunch_file, polls, "--poll", "K7QM2X")
    assert len(polls.votes) == 59
    assert "acknowledged 59 (56 new, 3 repeated), refused 0, retries 3" in printed


def test_retry_after_is_waited_for(lunch_file: Path) -> None:
    def first_only(number: int) -> tuple[int, dict[str, str], str] | None:
        return (429, {"Retry-After": "1"}, "rate_limited") if number == 1 else None

    with running(FakePolls(LUNCH, answer_vote=first_only)) as polls:
        started = time.monotonic()
        replay(lunch_file, polls, "--poll", "K7QM2X")
        assert time.monotonic() - started >= 1
    assert len(polls.votes) == 59


def test_a_refused_ballot_is_counted_by_its_code_and_fails_the_command(lunch_file: Path) -> None:
    def some(number: int) -> tuple[int, dict[str, str], str] | None:
        return (409, {}, "poll_closed") if number > 50 else None

    out = io.StringIO()
    with (
        running(FakePolls(LUNCH, answer_vote=some)) as polls,
        pytest.raises(CommandError, match="9 of 59 ballots were not acknowledged"),
    ):
        call_command(
            "replay_ballots", str(lunch_file), poll="K7QM2X", url=polls.url, rate=0, stdout=out
        )
    assert "refused poll_closed: 9" in out.getvalue()


def test_it_gives_up_on_a_server_that_decides_nothing(lunch_file: Path) -> None:
    with (
        running(FakePolls(LUNCH, answer_vote=lambda _: (503, {}, "overloaded"))) as polls,
        pytest.raises(CommandError, match=r"Gave up \(503 overloaded\); 59 of 59 .*--poll K7Q"),
    ):
        replay(lunch_file, polls, "--poll", "K7QM2X", "--patience", "0.2")


@pytest.mark.parametrize(
    ("polls", "args", "complaint"),
    [
        (FakePolls(LUNCH), ["--poll", "NOSUCH"], "404 poll_not_found"),
        (FakePolls(["Soup", "Bread"]), ["--poll", "K7QM2X"], "no option named 'Salad: green'"),
        (FakePolls(LUNCH, kind="rating"), ["--poll", "K7QM2X"], "a rating poll"),
        (FakePolls(LUNCH, voter_policy="ip"), ["--poll", "K7QM2X"], "told apart by ip"),
        (FakePolls(LUNCH), ["--poll", "K7QM2X", "--kind", "ranked"], "is single, not ranked"),
    ],
)
def test_a_poll_that_does_not_fit_is_refused_before_any_vote(
    polls: FakePolls, args: list[str], complaint: str, lunch_file: Path
) -> None:
    with running(polls), pytest.raises(CommandError, match=complaint):
        replay(lunch_file, polls, *args)
    assert not polls.tries


def test_no_server_and_no_file_are_reported_plainly(lunch_file: Path, tmp_path: Path) -> None:
    nobody = FakePolls(LUNCH, port=1)
    with pytest.raises(CommandError, match=r"No answer from http://127\.0\.0\.1:1/"):
        replay(lunch_file, nobody)
    with pytest.raises(CommandError, match=r"none\.soi: No such file"):
        replay(tmp_path / "none.soi", nobody)
    lunch_file.write_text(HEADER + "1: 9\n")
    with pytest.raises(CommandError, match=r"lunch\.toi: line 7: no alternative 9"):
        replay(lunch_file, nobody)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_half_way_and_started_again_it_ends_on_the_same_totals(
    number: signal.Signals, tmp_path: Path
) -> None:
    file = tmp_path / "lunch.toi"
    file.write_text(HEADER + "900: 1,2\n600: 2,3\n")
    with running(FakePolls([])) as polls:
        command = [sys.executable, "manage.py", "replay_ballots", str(file)]
        with subprocess.Popen(
            [*command, "--url", polls.url, "--rate", "500"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as first:
            try:
                assert polls.reached(300).wait(30)
                first.send_signal(number)
                output = first.communicate(timeout=20)[1]
            finally:
                first.kill()
        half_way = len(polls.votes)
        assert 300 <= half_way < 1500
        if number == signal.SIGKILL:
            assert first.returncode == -signal.SIGKILL
        else:
            assert first.returncode == 130
            assert "--poll K7QM2X: no vote counts twice" in output
        printed = replay(file, polls, "--poll", "K7QM2X")
    assert polls.counts() == {"Soup": 900, "Salad: green": 600}
    assert f"acknowledged 1,500 ({1500 - half_way:,} new, {half_way:,} repeated)" in printed


async def test_the_pace_is_kept_and_lost_time_is_not_made_up() -> None:
    loop = asyncio.get_running_loop()
    pace = Pace(500)
    started = loop.time()
    for _ in range(50):
        await pace.wait()
    assert loop.time() - started >= 49 / 500 - 0.1  # the first 0.1 s worth may go at once
    await asyncio.sleep(0.5)
    resumed = loop.time()
    for _ in range(150):
        await pace.wait()
    assert loop.time() - resumed >= 0.15  # of 250 missed turns at most 50 are caught up on


def test_percentiles_are_of_what_was_decided() -> None:
    report = Report(seconds=[number / 1000 for number in range(1, 201)])
    assert [report.percentile_ms(p) for p in (50, 95, 99)] == [100.0, 190.0, 198.0]
    assert Report().percentile_ms(50) == 0


def test_a_log_gets_ten_lines_and_a_terminal_one() -> None:
    class Recorder:
        def __init__(self, *, terminal: bool) -> None:
            self.text, self.terminal = "", terminal

        def write(self, msg: str, *, ending: str) -> None:
            self.text += msg + ending

        def flush(self) -> None:
            pass

        def isatty(self) -> bool:
            return self.terminal

    for terminal, lines in ((False, 10), (True, 1)):
        out = Recorder(terminal=terminal)
        progress = Progress(out, 1000)
        for done in range(1, 1001):
            progress.show(done)
        assert out.text.count("\n") == lines
        assert "100 %  1,000 of 1,000" in out.text
