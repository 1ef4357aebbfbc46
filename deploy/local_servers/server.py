"""What a private server does, whichever it is: start, stop, die, freeze, come back."""

import importlib.util
import os
import secrets
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from deploy.local_servers.guarded_process import GuardedProcess
from deploy.local_servers.places import free_port

START_DEADLINE_SECS = 30.0
_POLL_INTERVAL_SECS = 0.02


class ServersMissing(RuntimeError):
    """The wheels that carry the server programs are not installed."""


class ServerFailed(RuntimeError):
    """A server did not start; the message ends with its log."""


class PrivateServer(ABC):
    """What PrivatePostgres and PrivateRedis share; a context manager that starts and stops.

    `folder` is made if need be and keeps data, log and password, so that a later server on
    the same folder continues where this one ended. Without `port` a free one is taken at
    the first start and kept from then on.
    """

    def __init__(self, folder: Path | str, port: int | None = None) -> None:
        self.folder = Path(folder).resolve()
        self.port = port or 0
        self.log = self.folder / "server.log"
        self._process: GuardedProcess | None = None

    def start(self) -> Self:
        """Start and wait until it answers; a server that runs already is left alone.

        Raises:
            ServersMissing: its wheel is not installed.
            ServerFailed: it ended, or gave no answer within START_DEADLINE_SECS.
        """
        if self.running:
            return self
        self._prepare()
        chosen = bool(self.port)
        self.port = self.port or free_port()
        self._process = self._launch()
        deadline = time.monotonic() + START_DEADLINE_SECS
        while not self._answers():
            if self._process.returncode is not None or time.monotonic() > deadline:
                self._process.kill()
                self._process = None
                if not chosen:
                    self.port = 0
                raise ServerFailed(f"{type(self).__name__} did not start.\n{self.log_tail()}")
            time.sleep(_POLL_INTERVAL_SECS)
        return self

    def stop(self) -> None:
        """Shut down in order. Does nothing when it is not running."""
        if self._process is not None:
            self._process.stop(self.stop_signal)
            self._process = None

    def kill(self) -> None:
        """kill -9 the server and all its processes, as a power cut of the service would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        if self._process is not None:
            self._process.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw it after `pause`."""
        if self._process is not None:
            self._process.signal_all(signal.SIGCONT)

    def restart(self) -> Self:
        """Stop if it runs, then start on the same port and folder."""
        self.stop()
        return self.start()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise RuntimeError(f"{type(self).__name__} is not running.")
        return self._process.pid

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the server's log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    stop_signal: signal.Signals

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect: what DATABASE_URL or REDIS_URL wants."""

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _launch(self) -> GuardedProcess: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _password(self) -> str:
        path = self.folder / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(16))
        return path.read_text()


def wheel_folder(module: str, wheel: str) -> Path:
    # Found, not imported: both packages do things on import that we do not want.
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ServersMissing(
            f"The Python package {wheel} is not installed: pip install -r requirements-dev.txt"
        )
    return Path(spec.submodule_search_locations[0])


def plain_env() -> dict[str, str]:
    # No PG* variable and no locale of the caller's may change what the server does.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
