"""The Node that Playwright brings: no install, no build step."""

import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

DEADLINE_SECS = 60


def run_node(*arguments: str | Path) -> tuple[int, str]:
    """The exit code, and what there is to read about it."""
    node, _ = compute_driver_executable()
    try:
        done = subprocess.run(  # no shell; Node and files of ours
            [node, *map(str, arguments)],
            capture_output=True, text=True, timeout=DEADLINE_SECS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as stuck:
        return 1, f"no end after {DEADLINE_SECS} s\n{(stuck.stdout or b'').decode()}"
    return done.returncode, done.stdout + done.stderr
