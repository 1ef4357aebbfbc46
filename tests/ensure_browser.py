"""Make sure that the end-to-end tests have a Chromium: find one, or install one.

`python -m tests.ensure_browser` looks on PATH and in Playwright's cache, then tries the
system's package manager (as root), then Playwright's download. Without any it warns,
and with CI set it fails.

Best is the headless shell: the same engine without a browser's window, whose tabs and menus take
0.3 s of CPU for every page that a test opens. Another Chromium does as well, and then one attempt
is made to install the shell.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

SHELLS = ("chromium-headless-shell", "chrome-headless-shell")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_DEADLINE_SECS = 300.0
# An attempt that failed is not made again in this environment; a Chromium does without.
SHELL_TRIED = Path(sys.prefix) / ".headless-shell-tried"


def find_shell() -> str | None:
    """Chromium's headless shell, on PATH or as Playwright downloads it, if it runs."""
    return _on_path(SHELLS) or next(filter(_runs, map(str, _playwrights_shells())), None)


def find_chromium() -> str | None:
    """The headless shell, else the first Chromium or Chrome that runs."""
    return find_shell() or _on_path(NAMES) or next(filter(_runs, [_playwrights_chromium()]), None)


def ensure_chromium() -> str | None:
    """Find a Chromium, else install one; None when neither works."""
    if shell := find_shell():
        return shell
    other = find_chromium()
    if other and SHELL_TRIED.exists():
        return other
    for commands in _ways_to_install(shell_only=other is not None):
        print("No headless shell yet, trying:", " ".join(commands[-1]), flush=True)
        for command in commands:  # an old package list may do, so the browser alone decides
            _try(command)
        found = find_shell() if other else find_chromium()
        if found:
            return found
    with suppress(OSError):  # where it cannot be written, the next run tries again
        SHELL_TRIED.touch()
    return other


def _ways_to_install(*, shell_only: bool) -> list[list[list[str]]]:
    download = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
    if os.geteuid() != 0:
        return [[download]]
    ways = [[[*download, "--with-deps"]]]
    if shutil.which("apt-get"):
        # The fonts draw Latin and Arabic letters alike on every machine.
        fonts = ["fonts-dejavu-core", "fonts-liberation"]
        install = ["apt-get", "install", "--yes", "--no-install-recommends"]
        ways.insert(0, [["apt-get", "update"], [*install, "chromium-headless-shell", *fonts]])
        if not shell_only:
            ways.append([[*install, "chromium", *fonts]])
    return ways


def _on_path(names: Sequence[str]) -> str | None:
    return next((path for path in map(shutil.which, names) if path and _runs(path)), None)


def _playwrights_chromium() -> str:
    """Where Playwright's own Chromium is once it was downloaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _playwrights_shells() -> list[Path]:
    downloads = Path(_playwrights_chromium()).parents[2]
    return sorted(downloads.glob("chromium_headless_shell-*/*/*headless[_-]shell"), reverse=True)


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
