"""A WebSocket client of the ASGI application, without a network between them."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import orjson

from asgi import application

Json = dict[str, Any]
DEADLINE_SECS = 5.0


class AsgiSocket:
    """A context manager: connects on entering, disconnects on leaving.

    Args:
        path: with the leading slash.
        headers: besides Host, which is testserver where they do not say.
        address: the client's.
        to: another application than `asgi.application`.
    """

    def __init__(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        address: str = "192.0.2.7",
        to: Any = None,
    ) -> None:
        self._application = to or application
        sent = {"host": "testserver"} | {
            name.lower(): text for name, text in (headers or {}).items()
        }
        self._scope: Json = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "ws",
            "headers": [
                (name.lower().encode(), text.encode("latin-1")) for name, text in sent.items()
            ],
            "client": (address, 50000),
            "subprotocols": [],
        }
        self._to_app: asyncio.Queue[Json] = asyncio.Queue()
        self._from_app: asyncio.Queue[Json] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._serving = asyncio.create_task(
            self._application(self._scope, self._to_app.get, self._from_app.put)
        )
        self._to_app.put_nowait({"type": "websocket.connect"})
        accepted = await self._next_message()
        assert accepted["type"] == "websocket.accept"
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(DEADLINE_SECS):
            await self._serving

    def send(self, frame: Json) -> None:
        self.send_text(orjson.dumps(frame).decode())

    def send_text(self, text: str) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    def send_bytes(self, data: bytes) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "bytes": data})

    async def next(self) -> Json:
        """The next frame; fails when the socket is closed instead."""
        message = await self._next_message()
        assert message["type"] == "websocket.send", message
        frame = orjson.loads(message["text"])
        assert isinstance(frame, dict)
        return frame

    async def next_of(self, kind: str) -> Json:
        """The next frame, which must be of this type."""
        frame = await self.next()
        assert frame["type"] == kind, frame
        return frame

    async def results_at(self, version: int) -> Json:
        """The results frame of this version; earlier results may come before it."""
        while True:
            frame = await self.next_of("results")
            assert frame["version"] <= version
            if frame["version"] == version:
                return frame

    async def answer_to(self, frame: Json) -> Json:
        self.send(frame)
        return await self.next()

    async def nothing_before_pong(self) -> None:
        """A ping is answered with nothing in between."""
        assert (await self.answer_to({"type": "ping"}))["type"] == "pong"

    async def close_code(self) -> int:
        """The code the socket is closed with, now."""
        message = await self._next_message()
        assert message["type"] == "websocket.close", message
        return int(message["code"])

    async def until_closed(self) -> tuple[list[Json], int]:
        """All frames up to the end, and its code."""
        frames: list[Json] = []
        while (message := await self._next_message())["type"] == "websocket.send":
            frames.append(orjson.loads(message["text"]))
        return frames, int(message["code"])

    async def _next_message(self) -> Json:
        async with asyncio.timeout(DEADLINE_SECS):
            return await self._from_app.get()
