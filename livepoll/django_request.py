"""Django asked by the server itself, for responses that are kept: a GET that says nothing of who
asked."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from polls.http import request_ids
from polls.http.request import Header

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def get_scope(
    path: str,
    *,
    query: bytes = b"",
    is_secure: bool = False,
    headers: list[Header] | None = None,
) -> dict[str, Any]:
    """ASGI's scope of the request."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "scheme": "https" if is_secure else "http",
        "headers": headers or [],
        "client": None,
        "server": None,
        request_ids.SCOPE_KEY: request_ids.current_request_id.get(),
    }


async def ask_django(django: Application, scope: dict[str, Any]) -> tuple[int, list[Header], bytes]:
    """Status, headers and body."""
    start: dict[str, Any] = {}
    body = bytearray()
    has_request = False

    async def receive() -> dict[str, Any]:
        nonlocal has_request
        if has_request:  # its client never leaves
            await asyncio.get_running_loop().create_future()
        has_request = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await django(scope, receive, send)
    return start["status"], start["headers"], bytes(body)
