"""Child processes that end with us, whatever becomes of us."""

import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

STOP_DEADLINE_SECS = 10.0
_POLL_INTERVAL_SECS = 0.02


class GuardedProcess:
    """A child process that cannot outlive us.

    It leads a session of its own, so Ctrl-C reaches it only through `signal_all` or `stop`.
    Beside it waits a shell on a pipe that only we hold: when we die without having let it
    go, the pipe ends and the shell signals the child.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: pwd.struct_passwd | None = None,
        stdin: str = "",
        pass_fds: Sequence[int] = (),
        orphan_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        as_user: dict[str, Any] = {}
        if user is not None:
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
                **as_user,
            )
        pipe = _pipe_of(self._process)
        pipe.write(stdin.encode())
        pipe.close()
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", f"read -r _ || kill -{orphan_signal.name[3:]} {self.pid}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, else how it ended; minus the number of the signal that did it."""
        return self._process.poll()

    def signal_all(self, number: signal.Signals) -> None:
        """Signal the process and all its descendants, the parent first."""
        for process in self._family():
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process alone."""
        self._process.send_signal(number)

    def wait(self, timeout_secs: float) -> int:
        """Wait for it to end by itself, kill it when it does not, and return its exit code."""
        try:
            self._process.wait(timeout_secs)
        except subprocess.TimeoutExpired:
            return self.kill()
        return self._settle()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, kill it after STOP_DEADLINE_SECS, and return its exit code."""
        if self.returncode is None:
            self.signal_all(signal.SIGCONT)
            self._process.send_signal(number)
        return self.wait(STOP_DEADLINE_SECS)

    def kill(self) -> int:
        """kill -9 it and its descendants, wait until all are gone, and return its exit code."""
        family = self._family()
        self.signal_all(signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + STOP_DEADLINE_SECS
        while any(_lives(process) for process in family) and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL_SECS)
        return self._settle()

    def _family(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _settle(self) -> int:
        if self._guard.returncode is None:
            pipe = _pipe_of(self._guard)
            pipe.write(b"over\n")
            pipe.close()
            self._guard.wait()
        return self._process.wait()


def _lives(process: psutil.Process) -> bool:
    try:
        # A container's first process may never collect orphans; a zombie holds nothing.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _pipe_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin
