"""Cast the ballots of a PrefLib file over REST, each as another voter.

Safe to interrupt in any way and to start again with the same file and `--poll`: the
voters are the same ones, and no vote counts twice.
"""

import asyncio
import logging
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError

from replay.ballots import KINDS, Ballot, ballots_to_cast
from replay.caster import Caster, Report
from replay.poll_client import Poll, PollClient, PollUnusable
from replay.preflib import PrefLibError, PrefLibFile, read_preflib
from replay.progress import Progress

STOPPED = 130  # the exit status of a program that Ctrl-C ended


def rate(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError("must be 0 or more")
    return value


def connections(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise ArgumentTypeError("must be from 1 to 1000")
    return value


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a PrefLib .soi, .soc, .toi or .toc file")
        parser.add_argument(
            "--poll", metavar="ID_OR_CODE", help="cast into this poll; without it one is created"
        )
        parser.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
        parser.add_argument(
            "--rate", type=rate, default=200, metavar="N", help="ballots a second; 0: no limit"
        )
        parser.add_argument(
            "--kind",
            choices=KINDS,
            help="of the poll to create: single (default) takes first preferences",
        )
        parser.add_argument("--concurrency", type=connections, default=32, metavar="N")
        parser.add_argument(
            "--patience",
            type=rate,
            default=60,
            metavar="SECONDS",
            help="give up when nothing was decided for so long (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line a request
        file = self._read(options["file"])
        with PollClient(options["url"]) as client:
            try:
                poll = self._poll(client, file, options["poll"], options["kind"])
            except PollUnusable as error:
                raise CommandError(str(error)) from error
            self._replay(client, poll, file, options)

    def _replay(
        self, client: PollClient, poll: Poll, file: PrefLibFile, options: dict[str, Any]
    ) -> None:
        ballots = ballots_to_cast(file, kind=poll.kind, poll_id=poll.id, option_ids=poll.option_ids)
        self.stdout.write(
            f"{file.voters:,} ballots, {file.voters - len(ballots)} without a first preference "
            f"(a tie) skipped, {len(ballots):,} to cast"
        )
        started = time.monotonic()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report, stopped = runner.run(
                cast(
                    ballots,
                    url=client.votes_url(poll),
                    progress=Progress(self.stdout, len(ballots)),
                    per_second=options["rate"],
                    concurrency=options["concurrency"],
                    patience_seconds=options["patience"],
                )
            )
        self._print_report(report, time.monotonic() - started)
        self._print_results(client, poll)
        if report.acknowledged < len(ballots):
            self._fail(report, len(ballots), poll, stopped=stopped)

    def _read(self, path: Path) -> PrefLibFile:
        try:
            return read_preflib(path)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        except PrefLibError as error:
            raise CommandError(f"{path}: {error}") from error

    def _poll(
        self, client: PollClient, file: PrefLibFile, named: str | None, kind: str | None
    ) -> Poll:
        if named is None:
            poll = client.create(file, kind=kind or "single")
            self.stdout.write(f"Poll created: {poll.shown['question']} ({poll.kind})")
            self.stdout.write(f"  code       {poll.code}")
            self.stdout.write(f"  owner key  {poll.shown['owner_key']}")
        else:
            poll = client.find(named, file)
            if kind not in (None, poll.kind):
                raise PollUnusable(f"Poll {poll.code} is {poll.kind}, not {kind}.")
            self.stdout.write(f"Poll {poll.code}: {poll.shown['question']} ({poll.kind})")
        for name in ("vote_page", "dashboard", "results"):
            self.stdout.write(f"  {name.replace('_', ' '):9}  {poll.shown['links'][name]}")
        return poll

    def _print_report(self, report: Report, seconds: float) -> None:
        self.stdout.write(
            f"acknowledged {report.acknowledged:,} ({report.cast:,} new, "
            f"{report.repeated:,} repeated), refused {report.refused.total():,}, "
            f"retries {report.retries:,}, in {seconds:.1f} s "
            f"({report.acknowledged / max(seconds, 0.001):,.0f}/s)"
        )
        for code, count in report.refused.most_common():
            self.stdout.write(f"  refused {code}: {count:,}")
        figures = ", ".join(f"p{p} {report.percentile_ms(p):.1f} ms" for p in (50, 95, 99))
        self.stdout.write(f"latency {figures}")

    def _print_results(self, client: PollClient, poll: Poll) -> None:
        results = client.results(poll)
        if results is None:
            return
        self.stdout.write(f"results at version {results['version']}:")
        counts = results["counts"]
        for option in sorted(poll.shown["options"], key=lambda each: -counts[str(each["id"])]):
            self.stdout.write(f"  {counts[str(option['id'])]:7,}  {option['text']}")

    def _fail(self, report: Report, total: int, poll: Poll, *, stopped: bool) -> None:
        missing = f"{total - report.acknowledged:,} of {total:,} ballots were not acknowledged"
        again = f"Start again with --poll {poll.code}: no vote counts twice."
        if stopped:
            self.stderr.write(f"Stopped; {missing}. {again}")
            sys.exit(STOPPED)
        if report.gave_up:
            raise CommandError(f"Gave up ({report.gave_up}); {missing}. {again}")
        raise CommandError(f"{missing}.")


async def cast(
    ballots: Sequence[Ballot],
    *,
    url: str,
    progress: Progress,
    per_second: float,
    concurrency: int,
    patience_seconds: float,
) -> tuple[Report, bool]:
    """Cast them all; Ctrl-C or SIGTERM lets those under way finish. Answers whether it did."""
    caster = Caster(
        url=url,
        per_second=per_second,
        concurrency=concurrency,
        patience_seconds=patience_seconds,
        on_decided=lambda report: progress.show(report.decided),
    )
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        caster.stop()

    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        return await caster.cast_all(ballots), stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
