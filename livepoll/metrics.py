"""/metrics: this process's numbers for Prometheus, which asks each process by its address.

Answered before Django and by any Host, but to no request that came through a proxy: whichever
stands in front, and however it is set up, it publishes no numbers.
"""

import asyncio
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from polls import errors
from polls.http.response import respond, respond_problem

_SET_BY_PROXIES = frozenset((b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded"))


async def metrics(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if not _SET_BY_PROXIES.isdisjoint(name for name, _ in scope["headers"]):
        await respond_problem(send, errors.NotFound(), [])
        return
    body = await asyncio.to_thread(generate_latest)
    await respond(send, 200, body, [], CONTENT_TYPE_LATEST.encode())
