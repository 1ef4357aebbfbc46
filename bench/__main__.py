"""The benchmarks: `python -m bench [part …] [--quick | --smallest] [--json FILE]`.

Starts everything itself on loopback, pins the servers and the load to different cores,
repeats, and prints medians. Without parts it runs all of them, which takes a while.
"""

import argparse
import importlib
import json
import time
import traceback
from pathlib import Path

from bench import machine
from bench.report import Report
from bench.stage import Sizes, Stage
from bench.targets import TARGETS

PARTS = {
    "client": "what the load client itself can do, against nginx",
    "fanout": "frames/s to 1,000 screens, beside Nchan, Socket.IO and plain",
    "votes": "acknowledged votes/s, beside pgbench and plain",
    "latency": "from a vote's first byte to the screens",
    "sockets": "connects/s, memory and idle cost of 10,000 screens",
    "rooms": "what thousands of polls cost that one screen each watches, without votes",
    "arrival": "thousands of phones at once: page, files, socket, vote; beside plain",
    "busy": "votes, results and pages beside threads that are all taken",
    "storm": "a restart under 5,000 screens",
    "reads": "results requests/s, beside a bare echo",
    "pages": "vote page, poll object, start page and list, beside a bare echo, nginx and plain",
    "create": "what making a poll costs, beside plain",
    "ranked": "ranked polls: votes/s and the cost of a live count",
    "memory": "a web process under an hour's worth of votes",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    listed = ", ".join(f"{name} ({about})" for name, about in PARTS.items())
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of: {listed}")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small and short: does it all work?")
    size.add_argument("--smallest", action="store_true", help="smaller yet: what the tests run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument("--repeats", type=int, help="how often each figure is measured")
    parser.add_argument("--seconds", type=float, help="how long each measurement takes")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}")
    parts = options.parts or list(PARTS)

    machine.raise_file_limit()
    report = Report(
        machine.describe(), {"parts": parts, "quick": options.quick or options.smallest}
    )
    if len(machine.CORES) < 2:
        report.remark("one core only: server and load share it, so figures mean little")
    sizes = Sizes()
    if options.quick or options.smallest:
        sizes = Sizes.quick() if options.quick else Sizes.smallest()
    sizes = sizes.changed(repeats=options.repeats, seconds=options.seconds)
    print(json.dumps(report.machine, indent=1))
    failed = []
    with machine.on_cores(machine.LOAD_CORE), Stage(report, sizes) as stage:
        for part in parts:
            print(f"\n{part}: {PARTS[part]}", flush=True)
            start = time.monotonic()
            try:
                importlib.import_module(f"bench.parts.{part}").run(stage)
            except Exception:  # the other parts still say something
                failed.append(part)
                traceback.print_exc()
            print(f"  took {time.monotonic() - start:.0f} s", flush=True)
            if options.json:
                report.write(options.json)
    print(report.table())
    print(f"\n{report.verdicts(TARGETS)}")
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
