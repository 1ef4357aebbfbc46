"""Make sure that the end-to-end tests have a Chromium: find one, or install one.

`python -m tests.ensure_browser` looks on PATH and in Playwright's cache, then tries the
system's package manager (as root), then Playwright's download. Without any it warns,
and with CI set it fails.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_DEADLINE_SECS = 600.0


def system_chromium() -> str | None:
    """The first Chromium or Chrome on PATH that runs."""
    candidates = (shutil.which(name) for name in NAMES)
    return next((path for path in candidates if path and _runs(path)), None)


def playwright_chromium() -> str | None:
    """Playwright's own Chromium, if it was downloaded and runs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() and _runs(path) else None


def find_chromium() -> str | None:
    return system_chromium() or playwright_chromium()


def ensure_chromium() -> str | None:
    """Find a Chromium, else install one; None when neither works."""
    found = find_chromium()
    if found:
        return found
    for commands in _ways_to_install():
        print("No Chromium yet, trying:", " ".join(commands[-1]), flush=True)
        for command in commands:  # an old package list may do, so the browser alone decides
            _try(command)
        found = find_chromium()
        if found:
            return found
    return None


def _ways_to_install() -> list[list[list[str]]]:
    download = [sys.executable, "-m", "playwright", "install", "chromium"]
    if os.geteuid() != 0:
        return [[download]]
    ways = [[[*download, "--with-deps"]]]
    if shutil.which("apt-get"):
        # The fonts draw Latin and Arabic letters alike on every machine.
        packages = ["chromium", "fonts-dejavu-core", "fonts-liberation"]
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        ways.insert(0, [["apt-get", "update"], install])
    return ways


def _runs(path: str) -> bool:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _try(command: Sequence[str]) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            command, env=env, check=False, timeout=INSTALL_DEADLINE_SECS, stdout=sys.stderr
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        print(problem, file=sys.stderr)


def main() -> int:
    if ensure_chromium():
        return 0
    print(
        "The end-to-end tests need Chromium or Chrome, and none could be installed.\n"
        "Install one so that `chromium` or `google-chrome` is on PATH.",
        file=sys.stderr,
    )
    return 1 if os.environ.get("CI", "").lower() not in ("", "0", "false") else 0


if __name__ == "__main__":
    sys.exit(main())
