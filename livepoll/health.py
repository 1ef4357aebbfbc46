"""Whether this process lives (/healthz) and whether it should get traffic (/readyz).

Answered before Django and by any Host: probes use addresses, not names.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import connection

from polls import draining
from polls.http.response import respond

_CHECK_TIMEOUT_SECONDS = 1.0


async def healthz(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """200 as long as the process answers at all; looks at nothing else."""
    await respond(send, 200, b'{"status":"ok"}', [])


async def readyz(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """200 when votes can be taken, else 503.

    The database decides. The channel layer is shown but does not: without it votes count
    and screens follow from the database, only a little later.
    """
    status, body = await _readiness()
    await respond(send, status, orjson.dumps(body), [])


async def _readiness() -> tuple[int, dict[str, Any]]:
    if draining.is_draining():
        return 503, {"status": "draining"}
    database, layer = await asyncio.gather(_check_database(), _check_channel_layer())
    checks = {"database": database, "channel_layer": layer}
    if not database["ok"]:
        return 503, {"status": "not ready", **checks}
    return 200, {"status": "ready", **checks}


async def _check_database() -> dict[str, Any]:
    def ask() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        finally:
            connection.close()  # the next probe may run in another thread

    return await _timed(sync_to_async(ask, thread_sensitive=False)())


async def _check_channel_layer() -> dict[str, Any]:
    layer = get_channel_layer()
    return await _timed(layer.group_send("livepoll.readiness", {"type": "readiness"}))


async def _timed(check: Awaitable[Any]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        await asyncio.wait_for(check, _CHECK_TIMEOUT_SECONDS)
    except Exception as error:  # any failure means not ready, and says why
        return {"ok": False, "error": type(error).__name__}
    return {"ok": True, "ms": round((time.perf_counter() - started) * 1000, 1)}
