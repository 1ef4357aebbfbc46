"""Django asked by the server itself, for responses that are kept: a GET that says nothing of who
asked, and counts nothing against them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from polls.http import request_ids
from polls.http.attempts import Attempts, current_attempts
from polls.http.request import Header

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

# Set in the scope: the address in whose turn Django's threads take it. No view sees it.
SENDER = "livepoll.sender"


def get_scope(
    path: str,
    *,
    sender: str = "",
    query: bytes = b"",
    is_secure: bool = False,
    headers: list[Header] | None = None,
) -> dict[str, Any]:
    """ASGI's scope of the request.

    Args:
        sender: the address that it is made for first. Those who share it lose nothing by that:
            where the queue is full of that address's, they get 503 and ask for themselves.
    """
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
        SENDER: sender,
        request_ids.SCOPE_KEY: request_ids.current_request_id.get(),
    }


async def ask_django(django: Application, scope: dict[str, Any]) -> tuple[int, list[Header], bytes]:
    """Status, headers and body. To be awaited in a task of its own: in its context no attempt is
    counted, for who asked is answered, and counted, once more where this does not succeed."""
    current_attempts.set(Attempts())
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
