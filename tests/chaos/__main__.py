"""The long run: `make chaos`, or `python -m tests.chaos`. Ends with 0 if no promise broke.

From the environment: CHAOS_SEED (else one is drawn, and printed), CHAOS_FAULTS (200; a
number, or names separated by commas), CHAOS_VOTES (500000), CHAOS_SOCKETS (500), CHAOS_RATE
(votes a second that are tried at most).
"""

import os
import secrets
import sys

import uvloop

from deploy.local_servers import private_folder
from tests.chaos.faults import FAULTS, plan
from tests.chaos.rig import raised_rig
from tests.chaos.run import Config, run


def main() -> int:
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    wanted = os.environ.get("CHAOS_FAULTS", "200")
    print(f"seed {seed}", flush=True)
    with private_folder() as folder, raised_rig(folder) as rig:
        if not rig.clocks:
            print("no clock jumps: they need a C compiler", flush=True)
        faults = (
            plan(seed, int(wanted), with_clock=bool(rig.clocks))
            if wanted.isdigit()
            else [name for name in wanted.split(",") if name in FAULTS]
        )
        config = Config(
            seed=seed,
            faults=faults,
            votes=int(os.environ.get("CHAOS_VOTES", "500000")),
            sockets=int(os.environ.get("CHAOS_SOCKETS", "500")),
            rate=float(os.environ.get("CHAOS_RATE", "1500")),
            workers=128,
        )
        report = uvloop.run(run(rig, config, log=lambda line: print(line, flush=True)))
        for web in rig.webs:
            unhandled = [line for line in web.log.read_text().splitlines() if "Traceback" in line]
            print(f"{web.log.name}: {len(unhandled)} tracebacks", flush=True)
        if keep := os.environ.get("CHAOS_KEEP_LOGS"):
            for web in rig.webs:
                with open(f"{keep}/{web.log.name}", "w") as copy:  # noqa: PTH123
                    copy.write(web.log.read_text())
    print(report.text())
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
