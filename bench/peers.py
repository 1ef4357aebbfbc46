"""Other push servers beside us: Nchan (nginx, C) and Socket.IO (Node). Missing ones say so."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench import machine
from deploy.local_servers import GuardedProcess, free_port
from tests.e2e.harness import INHERITED

_MODULE_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx")
_SOCKETIO = Path(__file__).resolve().parent / "socketio"
_READY_DEADLINE_SECS = 20
_BACKLOG = 4096


# What is loaded, its memory, and what is served.
_NCHAN = (
    "load_module {module};",
    "nchan_shared_memory_size 128m;",
    """location = /publish {{ nchan_publisher; nchan_channel_id poll; }}
                location = /screen {{
                    nchan_subscriber websocket;
                    nchan_channel_id poll;
                    nchan_subscriber_first_message newest;
                }}""",
)
_FILES = "location /files/ {{ alias {files}/; open_file_cache max=10; }}"


class PeerMissing(RuntimeError):
    """The peer is not installed; the message says how to install it."""


@contextmanager
def nginx(folder: Path, files: Path | None = None) -> Iterator[tuple[int, int]]:
    """nginx with Nchan, one worker on the server's core; its process id and port.

    GET or POST /echo answers at once, POST /publish publishes, /screen is the socket; with `files`,
    instead of these two and without Nchan, /files/ is what lies in that folder. Nchan
    leaves Nagle's algorithm on, which holds a frame back until the one before is acknowledged.
    Screens that read at once acknowledge at once, so there it does nothing; for screens that
    read in turns it is switched off here, as it is in the other servers: each frame leaves at
    once, and alone.

    Raises:
        PeerMissing
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    modules = [Path(place) / "ngx_nchan_module.so" for place in _MODULE_FOLDERS]
    module = next((path for path in modules if path.exists()), None)
    if program is None or (module is None and files is None):
        raise PeerMissing("Nchan is not here: apt-get install libnginx-mod-nchan")
    load, memory, served = _NCHAN if files is None else ("", "", _FILES)
    folder.mkdir(parents=True, exist_ok=True)
    listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted ones inherit it
    port = listener.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{name}_temp_path {folder / name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""
        {load.format(module=module)}
        {user}
        daemon off;
        worker_processes 1;
        worker_rlimit_nofile 20000;
        pid {folder / "pid"};
        error_log {folder / "error.log"};
        events {{ worker_connections 15000; }}
        http {{
            access_log off;
            keepalive_requests 100000000;
            {temporary}
            {memory}
            server {{
                listen 127.0.0.1:{port} backlog={_BACKLOG};
                location = /echo {{ return 201 '{{"vote":{{"seq":1}}}}'; }}
                {served.format(files=files)}
            }}
        }}
        """
    )
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    env = {"NGINX": f"{listener.fileno()};"}  # how nginx hands its sockets to a new binary
    with (
        listener,
        _running(command, folder / "nginx.log", port, "/echo", env, (listener.fileno(),)) as pid,
    ):
        yield pid, port


@contextmanager
def socketio(folder: Path) -> Iterator[tuple[int, int]]:
    """Socket.IO on the server's core; its process id and port.

    Raises:
        PeerMissing
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        raise PeerMissing("Node is not here: install Node 20 or newer")
    if not (_SOCKETIO / "node_modules" / "socket.io").is_dir():
        if npm is None:
            raise PeerMissing("npm is not here to install Socket.IO")
        install = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run(install, cwd=_SOCKETIO, check=False).returncode != 0:
            raise PeerMissing("npm could not install Socket.IO")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    env = {"PORT": str(port), "NODE_ENV": "production"}
    with _running(
        [node, str(_SOCKETIO / "server.js")], folder / "socketio.log", port, "/", env
    ) as pid:
        yield pid, port


@contextmanager
def _running(
    command: list[str],
    log: Path,
    port: int,
    path: str,
    env: dict[str, str],
    pass_fds: tuple[int, ...] = (),
) -> Iterator[int]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    with machine.on_cores(machine.SERVER_CORE):
        process = GuardedProcess(command, log=log, env=inherited | env, pass_fds=pass_fds)
    try:
        deadline = time.monotonic() + _READY_DEADLINE_SECS
        with httpx.Client(trust_env=False) as client:
            while True:
                try:
                    client.get(f"http://127.0.0.1:{port}{path}")
                    break
                except httpx.TransportError:
                    if process.returncode is not None or time.monotonic() > deadline:
                        raise PeerMissing(
                            f"{command[0]} did not start: {log.read_text()[-2000:]}"
                        ) from None
                    time.sleep(0.05)
        yield process.pid
    finally:
        process.stop()
