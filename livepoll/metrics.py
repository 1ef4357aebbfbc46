"""/metrics: this process's numbers for Prometheus. Keep it behind the proxy.

Answered before Django and by any Host: Prometheus asks each process by its address.
"""

import asyncio
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from polls.http.response import respond


async def metrics(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = await asyncio.to_thread(generate_latest)
    await respond(send, 200, body, [], CONTENT_TYPE_LATEST.encode())
