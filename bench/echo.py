"""The least that this server can do over ASGI: answer every request with the same JSON."""

from typing import Any

BODY = (
    b'{"poll":"00000000-0000-0000-0000-000000000000","epoch":1,"version":17,"status":"open",'
    b'"final":false,"voters":17,"votes":17,"counts":{"1":5,"2":4,"3":4,"4":4},'
    b'"as_of":"2026-01-01T00:00:00.000Z"}'
)
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
]


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
