"""The smallest ASGI application that the rig's own tests can start, vote on and watch."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

PAGE = b"""<!doctype html>
<meta name="viewport" content="width=device-width">
<title>tiny</title>
<h1>ready</h1>
"""


async def application(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = os.environ["DATABASE_URL"].encode() if scope["path"] == "/database" else PAGE
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
