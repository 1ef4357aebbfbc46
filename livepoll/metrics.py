"""/metrics: this process's numbers for Prometheus. Keep it behind the proxy.

Answered at the front door, whatever Host it came by: Prometheus asks each process by address.
"""

import asyncio
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from polls.http.response import respond


async def metrics(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = await asyncio.to_thread(generate_latest)
    await respond(send, 200, body, [], CONTENT_TYPE_LATEST.encode())
