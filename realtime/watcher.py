"""One socket that watches a poll: a slot for the newest tally, and a task that sends
what cannot go at once.

A slow socket skips tallies and delays no other socket; what must not be skipped (poll frames,
pongs, errors) waits in a short queue.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from polls.identity.voters import Identity
from realtime import metrics, wire
from realtime.close_codes import CloseCode
from realtime.wire import DirectWriter

logger = logging.getLogger(__name__)

_OUTBOX_LIMIT = 64
_LAST_WORD_SECONDS = 1.0

SendText = Callable[[str], Awaitable[None]]
Close = Callable[[int], Awaitable[None]]


class Watcher:
    """A socket as the hub sees it. All methods on the hub's event loop.

    Args:
        send: sends one text frame; may block while the client is slow.
        close: closes the socket with a code.
        base_url: under which the client reached us, for links.
        writer: writes past the server's `send`; None under another server.
        on_cut: called when the socket was given up because its client takes nothing.
    """

    __slots__ = (
        "_close", "_close_code", "_on_cut", "_outbox", "_send", "_sender", "_slot", "_writer",
        "base_url", "direct", "identity", "is_cut", "is_over", "owned_as", "seen",
        "sending_since", "voted_in",
    )  # fmt: skip

    def __init__(
        self,
        send: SendText,
        close: Close,
        base_url: str,
        writer: DirectWriter | None = None,
        on_cut: Callable[[], None] = lambda: None,
    ) -> None:
        self._send = send
        self._writer = writer
        self.direct = writer  # None while a frame waits, and once the socket is closing
        self._close = close
        self._on_cut = on_cut
        self.base_url = base_url
        self.identity: Identity | None = None
        self.owned_as: object = None  # `Room.ownership` when this proved to be the owner
        self.voted_in: int | None = None  # the epoch; a vote opens no later one's results
        self.is_cut = False
        self.is_over = False
        self.seen: bytes | None = None  # the results that it was handed last
        self.sending_since = 0.0
        self._outbox: list[str] = []
        self._slot: str | None = None
        self._sender: asyncio.Task[None] | None = None  # there only while something waits
        self._close_code: int | None = None

    def offer(self, frame: str) -> bool:
        """Take the newest tally, where it did not go `direct`ly; True if it replaced one
        that was not sent yet."""
        replaced = self._slot is not None
        self._slot = frame
        self._rouse()
        return replaced

    def withdraw(self) -> bool:
        """Throw away a tally that was not sent yet; whether there was one."""
        had_one, self._slot = self._slot is not None, None
        return had_one

    def post(self, frame: str) -> None:
        """Send a frame that must arrive, in order; too many unsent ones end the socket."""
        if self.direct is not None and self.direct.write(wire.encode(frame)):
            return
        if len(self._outbox) >= _OUTBOX_LIMIT:
            self.end(CloseCode.TOO_SLOW)
            return
        self._outbox.append(frame)
        self._rouse()

    def end(self, code: int) -> None:
        """Close the socket once what waits has been sent."""
        self._close_code = code
        self.direct = None
        self._rouse()

    def cut(self, code: int) -> None:
        """Close a socket that takes nothing any more; what waits is thrown away."""
        self._close_code = code
        self.direct = None
        if self._sender is not None and not self.is_cut:
            self.is_cut = True
            self._sender.cancel()

    def stop(self) -> None:
        """The socket has gone: send nothing more."""
        self.is_over = True
        self.direct = None
        if self._sender is not None:
            self._sender.cancel()

    def is_stuck(self, now: float, limit_seconds: float) -> bool:
        """Whether one frame has been under way to the client for too long."""
        return bool(self.sending_since) and now - self.sending_since > limit_seconds

    async def settled(self) -> None:
        """Wait until nothing waits to be sent."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    def _rouse(self) -> None:
        if self._sender is None and not self.is_over:
            self.direct = None
            self._sender = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._send_all()
        except asyncio.CancelledError:
            if not self.is_cut or self._close_code is None:
                raise
            await self._let_go(self._close_code)
        except Exception as error:  # the client has gone; its disconnect is on the way
            logger.debug("a socket went away: %r", error)
            self.is_over = True
        finally:
            self._sender = None
            if self._close_code is None and not self.is_over:
                self.direct = self._writer

    async def _let_go(self, code: int) -> None:
        self.is_over = True
        metrics.CLOSED.labels(int(code)).inc()
        with suppress(Exception):  # the server may wait for the client even here
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self._close(code)
        self._on_cut()

    async def _send_all(self) -> None:
        while True:
            if self._outbox:
                await self._deliver(self._outbox.pop(0))
            elif self._slot is not None:
                frame, self._slot = self._slot, None
                await self._deliver(frame)
            elif self._close_code is not None:
                self.is_over = True
                metrics.CLOSED.labels(int(self._close_code)).inc()
                await self._close(self._close_code)
                return
            else:
                return

    async def _deliver(self, frame: str) -> None:
        self.sending_since = time.monotonic()
        await self._send(frame)
        self.sending_since = 0.0
