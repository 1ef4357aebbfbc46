"""`make hostile`, or `python -m tests.hostile [--nginx]`. Ends with 0 if all that was promised held
and the p99 of honest votes was at most doubled.

From the environment: HOSTILE_SECS (1800), HOSTILE_QUIET_SECS (60), HOSTILE_CONNECTIONS (2000),
HOSTILE_RATE (500 votes a second), HOSTILE_SCREENS (500), CHAOS_SEED.
"""

import argparse
import os
import secrets
import sys

from bench.machine import raise_file_limit
from deploy.local_servers import private_folder
from tests.hostile.clients import SHARES
from tests.hostile.run import Plan, p99, run

MOST_TIMES = 2.0
# A p99 in a quiet spell may be so small that twice of it is noise.
NOISE_SECS = 0.05


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.hostile", description=__doc__)
    parser.add_argument("--nginx", action="store_true", help="through nginx as we ship it")
    parser.add_argument("--kinds", nargs="+", choices=SHARES, default=list(SHARES))
    options = parser.parse_args()
    raise_file_limit()

    def number(name: str, default: int) -> int:
        return int(os.environ.get(name) or default)

    plan = Plan(
        seed=number("CHAOS_SEED", secrets.randbelow(10**6)),
        quiet_secs=number("HOSTILE_QUIET_SECS", 60),
        hostile_secs=number("HOSTILE_SECS", 1800),
        connections=number("HOSTILE_CONNECTIONS", 2000),
        rate=number("HOSTILE_RATE", 500),
        screens=number("HOSTILE_SCREENS", 500),
        nginx=options.nginx,
        kinds=options.kinds,
    )
    with private_folder() as folder:
        outcome = run(plan, folder)
    print(outcome.text(), flush=True)
    is_quick = p99(outcome.hostile) <= MOST_TIMES * p99(outcome.quiet) + NOISE_SECS
    if not is_quick:
        print("! the p99 of honest votes more than doubled", flush=True)
    return 1 if outcome.failures() or not is_quick else 0


if __name__ == "__main__":
    sys.exit(main())
