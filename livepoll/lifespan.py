"""Starting and stopping with the server, where the server says so (Uvicorn; not Daphne).

On SIGTERM the process drains: /readyz and new votes answer 503 for DRAIN_SECONDS, so that
a proxy goes elsewhere; then sockets are closed as restarting, and the server's own
shutdown finishes what is under way.
"""

import asyncio
import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.conf import settings

from livepoll.django_endpoint import django_endpoint
from livepoll.health import stop_asking
from polls import draining
from polls.results.reader import reader
from polls.voting.ballot_box import ballot_box
from realtime.hub import running_hub, stop_hub

logger = logging.getLogger(__name__)


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            running_hub()
            drain_on_sigterm(asyncio.get_running_loop())
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await stop()
            await asyncio.to_thread(stop_threads)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def stop() -> None:
    """Close what belongs to the event loop: its two connections to PostgreSQL, and the sockets.

    Votes and reads that wait are answered by the threads.
    """
    reader.close_loop_connection()
    ballot_box.close_loop_connection()
    await stop_hub()


def stop_threads() -> None:
    """Let the threads of requests finish, for some seconds at most, and close their connections."""
    django_endpoint.stop()
    stop_asking()


def drain_on_sigterm(loop: asyncio.AbstractEventLoop) -> None:
    """Put the draining before what the server does on SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        return
    tasks: list[asyncio.Task[None]] = []  # the event loop keeps no strong reference to a task
    servers_own = signal.getsignal(signal.SIGTERM)
    if not callable(servers_own):
        return

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        draining.begin()
        signal.signal(signal.SIGTERM, servers_own)  # a second one stops at once
        loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(drain(number))))

    async def drain(number: int) -> None:
        logger.info("draining for %s s, then stopping", settings.DRAIN_SECONDS)
        await asyncio.sleep(settings.DRAIN_SECONDS)
        await stop()
        servers_own(number, None)

    signal.signal(signal.SIGTERM, on_sigterm)
