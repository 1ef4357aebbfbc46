"""All TCP connections of this process: how many there may be, and which of them take too long.

Counted from accept until the transport is gone. Every connection is looked at once in
`LOOK_SECONDS`: one that has not sent its request in time, takes no response, or does not end
although it was closed, is aborted. That is the one place which ends what is stuck, so no caller
of `transport.close()` has to think of a client that does not read.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from itertools import count

from django.conf import settings

from livepoll.transport.metrics import CONNECTIONS
from livepoll.transport.refusals import note_refusal

LOOK_SECONDS = 5.0
CLOSING_SECONDS = 5.0
SLOWEST_BYTES_A_SECOND = 1024
# Ten thousand looked at in one go would stop the event loop for milliseconds.
_PORTIONS = 8
# Kept back from connections: the database, Redis, files, logs.
_RESERVED_FILES = 100


class Connection:
    """What is known of a connection.

    Args:
        address: whose it is; empty where connections are not counted by address.
        on_timeout: called when a request was not sent in time.
    """

    __slots__ = ("address", "is_socket", "on_timeout", "portion", "stalled_since", "transport",
                 "unsent", "waiting_since")  # fmt: skip

    def __init__(
        self, transport: asyncio.Transport, address: str, on_timeout: Callable[[], None]
    ) -> None:
        self.transport = transport
        self.address = address
        self.on_timeout = on_timeout
        self.is_socket = False  # upgraded: pings and its watcher see whether its client reads
        self.portion = 0
        self.waiting_since = 0.0  # for the rest of a request or message; 0 while none is under way
        self.stalled_since = 0.0  # with bytes that the client does not take
        self.unsent = 0

    def end_in(self, seconds: float, now: float) -> None:
        """Have `on_timeout` called after so many seconds."""
        self.waiting_since = now - settings.REQUEST_SECONDS + seconds

    def resume(self) -> None:
        """The client has taken most of what waited for it."""
        self.stalled_since = 0.0


class Connections:
    """The connections of one event loop. All methods on that loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._portions: tuple[set[Connection], ...] = tuple(set() for _ in range(_PORTIONS))
        self._by_address: Counter[str] = Counter()
        self._number = 0
        self._turn = count()
        self._next_portion = 0
        self._timer: asyncio.TimerHandle | None = None
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = min(settings.MAX_CONNECTIONS, max(1, files - _RESERVED_FILES))
        shortest = min(LOOK_SECONDS, settings.REQUEST_SECONDS, settings.RESPONSE_SECONDS)
        self._look_every = shortest / _PORTIONS

    def __len__(self) -> int:
        return self._number

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more; counted until `release` if so."""
        address = connection.address
        if self._number >= self._most:
            note_refusal("connections", address)
            return False
        if address and self._by_address[address] >= settings.MAX_CONNECTIONS_PER_ADDRESS:
            note_refusal("connections_of_address", address)
            return False
        connection.waiting_since = self.loop.time()
        connection.portion = next(self._turn) % _PORTIONS
        self._portions[connection.portion].add(connection)
        self._by_address[address] += 1
        self._number += 1
        CONNECTIONS.inc()
        if self._timer is None:
            self._timer = self.loop.call_later(self._look_every, self._look_on)
        return True

    def release(self, connection: Connection) -> None:
        """The transport is gone."""
        self._portions[connection.portion].discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        self._number -= 1
        CONNECTIONS.dec()

    def look_at(self, connection: Connection, now: float) -> None:
        """End a connection that takes too long."""
        transport = connection.transport
        unsent = transport.get_write_buffer_size()
        is_closing = transport.is_closing()
        if is_closing or (unsent and not connection.is_socket):
            self._look_at_unsent(connection, unsent, now, is_closing)
        elif connection.stalled_since:
            connection.stalled_since = 0.0
        if (
            connection.waiting_since
            and now - connection.waiting_since > settings.REQUEST_SECONDS
            and not is_closing
        ):
            connection.waiting_since = now  # what was refused may stay for a moment
            connection.on_timeout()

    def _look_at_unsent(
        self, connection: Connection, unsent: int, now: float, is_closing: bool
    ) -> None:
        since = connection.stalled_since
        if not since:
            connection.stalled_since, connection.unsent = now, unsent
            return
        if is_closing:
            is_over = now - since > CLOSING_SECONDS
        else:
            taken = connection.unsent - unsent
            if taken >= SLOWEST_BYTES_A_SECOND * (now - since):
                connection.stalled_since, connection.unsent = now, unsent
                return
            is_over = now - since > settings.RESPONSE_SECONDS
        if is_over:
            note_refusal("response_timeout", connection.address)
            connection.transport.abort()

    def _look_on(self) -> None:
        """One portion, so that each connection has its turn in LOOK_SECONDS."""
        now = self.loop.time()
        for connection in list(self._portions[self._next_portion]):
            self.look_at(connection, now)
        self._next_portion = (self._next_portion + 1) % _PORTIONS
        is_needed = self._number > 0
        self._timer = self.loop.call_later(self._look_every, self._look_on) if is_needed else None


_connections: Connections | None = None


def running_connections(loop: asyncio.AbstractEventLoop) -> Connections:
    """The connections of the serving event loop, made on first use."""
    global _connections
    if _connections is None or _connections.loop is not loop:
        _connections = Connections(loop)
    return _connections
