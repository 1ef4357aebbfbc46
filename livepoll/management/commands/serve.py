"""Serve livepoll from this one process: tables, sample poll, Uvicorn with the right options.

What `make run` and the container start. On the embedded default a database without any
poll gets the sample poll first.
"""

import errno
import resource
import signal
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from livepoll.transport.http_protocol import BoundedHTTP
from polls.identity.client_address import trust_peers
from polls.models import Poll
from realtime.socket_protocol import BoundedSocket
from replay.sample import SAMPLE_POLL_ID, ensure_sample_poll

BACKLOG_CONNECTIONS = 4096  # all clients reconnect at once after a restart
# libuv takes one connection a turn of the loop from each listening descriptor. With one, newcomers,
# and all that a proxy opens, wait for seconds while clients that come and go keep the loop busy;
# without a bound a burst of thousands would hold up votes.
ACCEPTS_A_TURN = 16
WS_PING_INTERVAL_SECONDS = 40.0  # 10,000 idle sockets: 250 pings a second, most of their cost
WS_PING_TIMEOUT_SECONDS = 20.0
# Clients may send 4 KiB; more reaches the consumer, which says what is wrong.
WS_MAX_FRAME_BYTES = 64 * 1024
# Longer than a proxy keeps an idle connection: it must never send a vote into one we close.
KEEP_ALIVE_SECONDS = 75
GRACEFUL_SHUTDOWN_SECONDS = 8
OPEN_FILES_MOST = 1_048_576
PROBE_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (what is shown for them)


class AnnouncingServer(uvicorn.Server):
    """Uvicorn that calls back once it accepts connections."""

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []  # `make check` runs them; a start should be quick

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="default: PORT, %(default)s; 0: any"
        )
        parser.add_argument(
            "--shared-port",
            type=int,
            metavar="N",
            help="listen on port N too, which other processes may share (SO_REUSEPORT)",
        )
        parser.add_argument("--no-migrate", action="store_true", help="leave the tables alone")
        parser.add_argument("--no-sample", action="store_true", help="make no sample poll")

    def handle(self, *args: Any, **options: Any) -> None:
        trust_peers()
        sockets = [bind(options["host"], options["port"])]
        if options["shared_port"] is not None:
            sockets.append(bind(options["host"], options["shared_port"], shared=True))
        raise_open_files_limit()
        if not options["no_migrate"]:
            call_command("migrate", verbosity=0, interactive=False)
        if settings.EMBEDDED and not options["no_sample"]:
            ensure_sample_poll()
        text = welcome(options["host"], sockets[0].getsockname()[1], code_to_show())
        connections.close_all()

        def announce() -> None:
            if options["verbosity"]:
                self.stdout.write(text)
                self.stdout.flush()

        server = AnnouncingServer(uvicorn_config(), on_ready=announce)
        # Uvicorn raises the signal once more when all is done; to end on request is a success.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            server.run(several(sockets))
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        if not server.started:
            raise CommandError("The server did not start; the reason stands above.")


def welcome(host: str, port: int, code: str | None) -> str:
    """Where the server is, for who started it; `code` is a poll's to show."""
    name = PROBE_HOSTS.get(host, f"[{host}]" if ":" in host else host)
    named = settings.ALLOWED_HOSTS[0]
    if host in PROBE_HOSTS and named[0] not in ".*":
        name = named
    base = f"http://{name}:{port}"
    lines = [f"livepoll runs on {base}/ (stop it with Ctrl-C)"]
    if host in PROBE_HOSTS and settings.ALLOWED_HOSTS == settings.OWN_HOSTS:
        lines.append("  Other machines are refused: name this one's address in ALLOWED_HOSTS.")
    if code is not None:
        lines += [f"  vote       {base}/p/{code}/", f"  dashboard  {base}/p/{code}/live/"]
    lines += [f"  new poll   {base}/new/", f"  API docs   {base}/api/docs/"]
    return "\n".join(lines)


def code_to_show() -> str | None:
    """The join code of the sample poll, else of the newest listed poll, else None."""
    listed = Poll.objects.filter(listed=True).order_by("-created_at")
    poll = listed.filter(id=SAMPLE_POLL_ID).first() or listed.first()
    return poll.code if poll is not None else None


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A TCP socket bound to the address; it refuses connections until the server listens.

    Raises:
        CommandError: the address is taken or not ours, with what to do about it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} is in use. Stop what listens there, or take another: "
                f"PORT={port + 1} make run"
            ) from error
        raise CommandError(f"Cannot listen on {host} port {port}: {error}") from error
    listener.set_inheritable(False)
    return listener


def several(sockets: list[socket.socket]) -> list[socket.socket]:
    """Each of these with duplicates, so that a turn of the loop takes several connections."""
    return [
        one for own in sockets for one in (own, *(own.dup() for _ in range(ACCEPTS_A_TURN - 1)))
    ]


def raise_open_files_limit() -> None:
    """Let the process hold as many sockets as the system allows it; 1,024 is a common default."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MOST if most == resource.RLIM_INFINITY else min(most, OPEN_FILES_MOST)
    if wanted > now:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def uvicorn_config() -> uvicorn.Config:
    return uvicorn.Config(
        "asgi:application",
        loop="uvloop",
        http=BoundedHTTP,
        ws=BoundedSocket,
        ws_max_size=WS_MAX_FRAME_BYTES,
        ws_ping_interval=WS_PING_INTERVAL_SECONDS,
        ws_ping_timeout=WS_PING_TIMEOUT_SECONDS,
        ws_per_message_deflate=False,  # frames are small; a compressor a socket is not
        lifespan="on",
        backlog=BACKLOG_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
        access_log=False,
        log_config=None,  # Django's LOGGING speaks for all
        log_level="warning",
        proxy_headers=False,  # who is behind a proxy is decided by TRUSTED_PROXIES
        server_header=False,
    )
