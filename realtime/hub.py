"""The hub: all sockets of one process, and the newest tally to each of them.

One member of the channel layer a process, not a socket. What the layer loses arrives all
the same: every few seconds the polls that are watched are compared with the database.
Lives on one event loop; nothing here blocks it, and no failure of Redis or the database
reaches a socket except as lateness.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from channels.layers import get_channel_layer
from django.conf import settings

from polls.errors import PollError, PollNotFound
from polls.refs import PollRef
from polls.results.reader import PollQuery, Reading, reader
from polls.rules.poll import PollState
from realtime import messages, metrics
from realtime.audience import Audience
from realtime.close_codes import CloseCode
from realtime.memory import Releases, release_memory
from realtime.outage_log import OutageLog
from realtime.room import Room
from realtime.watcher import Watcher

logger = logging.getLogger(__name__)
outage_log = OutageLog(logger)

_LAYER_TIMEOUT_SECONDS = 2.0
_LAYER_RETRY_SECONDS = 1.0
_EMPTY_ROOM_SECONDS = 10.0
# After so many beats without a word of a process its sockets count no more.
_SILENT_BEATS = 3
# So many take the reader's thread 20 to 40 ms, for which all else that it is asked waits.
_POLLS_A_QUESTION = 5_000


class Hub:
    """The rooms of one event loop: works there from the moment it is made until `stop`."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.id = uuid4().hex
        self._rooms: dict[UUID, Room] = {}
        self._ids: dict[str, UUID] = {}
        self._opening: dict[PollRef, asyncio.Task[Room]] = {}
        self._refreshing: dict[UUID, bool] = {}
        self._subscribed: set[UUID] = set()
        self._unheard: set[UUID] = set()  # the layer failed to subscribe to these
        self._audience = Audience(self.id)
        self._empty_since: dict[UUID, float] = {}
        self._addresses: Counter[str] = Counter()
        self._admitted = 0  # their sum, which a storm of connects must not add up each time
        self._releases = Releases()
        self._publishing: asyncio.Task[None] | None = None
        self._channel: str | None = None
        self._layer = get_channel_layer()
        self._tasks: set[asyncio.Task[Any]] = set()
        for work in (self._receive, self._reconcile, self._sweep):
            self._spawn(self._for_ever(work))

    async def join(self, ref: PollRef) -> Room:
        """The poll's room; opened with one read, which calls that come meanwhile share.

        Raises:
            PollNotFound, Overloaded
        """
        poll_id = self._ids.get(ref) if isinstance(ref, str) else ref
        room = self._rooms.get(poll_id) if poll_id else None
        if room is not None and room.watchers:
            return room
        opening = self._opening.get(ref)
        if opening is None:
            opening = self._opening[ref] = self._spawn(self._open(ref))
            opening.add_done_callback(lambda _: self._opening.pop(ref, None))
        return await asyncio.shield(opening)

    def admit(self, address: str) -> bool:
        """Whether one more socket of this address has room; counts it if so."""
        if (
            self._admitted >= settings.MAX_SOCKETS
            or self._addresses[address] >= settings.MAX_SOCKETS_PER_ADDRESS
        ):
            return False
        self._addresses[address] += 1
        self._admitted += 1
        metrics.SOCKETS.inc()
        return True

    def dismiss(self, address: str) -> None:
        """A socket that was admitted has gone."""
        self._addresses[address] -= 1
        self._admitted -= 1
        self._releases.note_leaving()
        metrics.SOCKETS.dec()
        if not self._addresses[address]:
            del self._addresses[address]

    def leave(self, room: Room, watcher: Watcher) -> None:
        room.remove(watcher)
        if not room.watchers and self._rooms.get(room.id) is room:
            self._empty_since[room.id] = time.monotonic()

    def take_tallies(self, states: list[PollState]) -> None:
        """Newer tallies from this process's own ballot box."""
        for state in states:
            room = self._rooms.get(state.id)
            if room is not None:
                room.take_tally(state)

    def take_poll_change(self, poll_id: UUID, *, deleted: bool) -> None:
        room = self._rooms.get(poll_id)
        if room is None:
            return
        if deleted:
            self._end(room)
        else:
            self._refresh(room)

    @property
    def watchers(self) -> int:
        return sum(len(room.watchers) for room in self._rooms.values())

    async def stop(self) -> None:
        """Close every socket as restarting, and end."""
        for room in self._rooms.values():
            room.stop()
            for watcher in list(room.watchers):
                watcher.end(CloseCode.RESTARTING)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=1)  # again: a library may swallow it once

    # Rooms

    async def _open(self, ref: PollRef) -> Room:
        reading = await reader.read(PollQuery(ref, details=True, results=True))
        room = self._rooms.get(reading.state.id)
        if room is None:
            interval = settings.BROADCAST_INTERVAL_MS / 1000
            room = Room(reading, interval, self._refresh, self._audience)
            self._rooms[room.id] = room
            self._ids[room.state.code] = room.id
            self._empty_since[room.id] = time.monotonic()
            self._spawn(self._subscribe(room))
        else:
            room.update(reading)  # it had no watcher who could have missed a message
        return room

    def _refresh(self, room: Room) -> None:
        """Read the poll again; calls during a read make one more read."""
        if room.id in self._refreshing:
            self._refreshing[room.id] = True
            return
        self._refreshing[room.id] = False
        self._spawn(self._read_again(room))

    async def _read_again(self, room: Room) -> None:
        try:
            reading = await reader.read(PollQuery(room.id, details=True, results=True))
        except PollNotFound:
            self._end(room)
        except PollError as error:  # the reconciling loop will come by again
            logger.info("poll %s could not be read: %s", room.id, error)
        else:
            if not room.is_over:
                room.update(reading)
        finally:
            again = self._refreshing.pop(room.id, False)
        current = self._rooms.get(room.id)
        if current is not None and (again or current is not room):
            self._refresh(current)

    def _end(self, room: Room) -> None:
        room.end()
        self._drop(room)

    def _drop(self, room: Room) -> None:
        room.stop()
        if self._rooms.get(room.id) is not room:
            return
        self._rooms.pop(room.id, None)
        self._ids.pop(room.state.code, None)
        self._empty_since.pop(room.id, None)
        self._unheard.discard(room.id)
        self._spawn(self._unsubscribe(room.id))

    # Channel layer

    async def _subscribe(self, room: Room) -> None:
        """Join the poll's group, then read once more what may have come between."""
        if self._channel is None or room.id in self._subscribed:
            return
        if await self._layer_call(self._layer.group_add(messages.group(room.id), self._channel)):
            self._subscribed.add(room.id)
            self._unheard.discard(room.id)
            self._refresh(room)
        elif not room.is_over:
            self._unheard.add(room.id)

    async def _unsubscribe(self, poll_id: UUID) -> None:
        if poll_id in self._subscribed and self._channel is not None:
            self._subscribed.discard(poll_id)
            await self._layer_call(
                self._layer.group_discard(messages.group(poll_id), self._channel)
            )

    async def _layer_call(self, call: Awaitable[Any]) -> bool:
        try:
            async with asyncio.timeout(_LAYER_TIMEOUT_SECONDS):
                await call
        except Exception as error:  # Redis is away; reconciling covers for it
            metrics.LAYER_FAILURES.inc()
            outage_log.warn("the channel layer does not answer", error)
            return False
        return True

    async def _receive(self) -> None:
        """Take what other processes publish, through this process's one channel."""
        if self._channel is None:
            # Not wait_for: it may swallow the cancellation of `stop` (Python 3.11).
            async with asyncio.timeout(_LAYER_TIMEOUT_SECONDS):
                channel = await self._layer.new_channel()
                await self._layer.group_add(messages.HUBS, channel)
            self._channel = channel
            self._publish_beat()
            for room in list(self._rooms.values()):
                self._spawn(self._subscribe(room))
        while True:
            message = await self._layer.receive(self._channel)
            if message["type"] == messages.TALLY:
                shown = self._rooms.get(UUID(message["poll"]))
                if shown is not None:
                    shown.take_tally(messages.read_tally(message, shown.state))
            elif message["type"] == messages.POLL:
                self.take_poll_change(UUID(message["poll"]), deleted=message["deleted"])
            elif message["type"] == messages.WATCHING:
                self._audience.take(message, time.monotonic())

    # Loops

    async def _reconcile(self) -> None:
        """Show what the layer has lost, and publish how many watch: one question to the database
        and one message a beat, however many rooms there are."""
        interval = settings.RECONCILE_INTERVAL_MS / 1000
        while True:
            await asyncio.sleep(interval * random.uniform(0.75, 1.25))
            self._audience.forget_silent(time.monotonic() - _SILENT_BEATS * 1.25 * interval)
            self._publish_beat()
            watched = [room for room in self._rooms.values() if room.watchers]
            now = datetime.now(UTC)
            for room in watched:
                if room.is_due(now):
                    self._refresh(room)
            parts = [
                watched[start : start + _POLLS_A_QUESTION]
                for start in range(0, len(watched), _POLLS_A_QUESTION)
            ]
            metrics.LAG.set(max([await self._compare(part) for part in parts], default=0))
            await self._look_who_voted(
                [room for room in watched if room.state is not room.voters_known_in]
            )

    async def _compare(self, watched: list[Room]) -> int:
        """Compare these rooms with the database; the most vote events that one was behind it."""
        try:
            changes = await reader.read_changes([room.state for room in watched])
        except PollError as error:  # with the next beat
            logger.info("nothing could be compared: %s", error)
            return 0
        lag = max((self._lag(state) for state in changes.states), default=0)
        for state in changes.states:
            if state.id in self._rooms:
                self._rooms[state.id].take_tally(state)
        for poll_id in changes.gone:
            if poll_id in self._rooms:
                self._end(self._rooms[poll_id])
        return lag

    def _lag(self, state: PollState) -> int:
        """How many vote events the poll's room is behind this state."""
        room = self._rooms.get(state.id)
        if room is None or room.state.epoch != state.epoch:
            return 0
        return max(0, state.version - room.state.version)

    def _publish_beat(self) -> None:
        if self._publishing is None or self._publishing.done():  # else the layer is slow: next beat
            self._publishing = self._spawn(self._publish_watching())

    async def _publish_watching(self) -> None:
        """Publish how many watch here, then subscribe to what the layer failed to; ends with the
        first call that fails."""
        for message in self._audience.next_messages():
            if not await self._layer_call(self._layer.group_send(messages.HUBS, message)):
                return
        for poll_id in list(self._unheard):
            if poll_id in self._rooms:
                await self._subscribe(self._rooms[poll_id])
            if poll_id in self._unheard:
                return

    async def _look_who_voted(self, rooms: list[Room]) -> None:
        """Show the tally to watchers that have voted since; stop where a vote was retracted."""
        for room in rooms:
            room.voters_known_in = room.state
        asked = [(room, watcher) for room in rooms for watcher in room.identified()]
        readings = await asyncio.gather(
            *(reader.read(PollQuery(room.id, identity=one.identity)) for room, one in asked),
            return_exceptions=True,
        )
        for (room, watcher), reading in zip(asked, readings, strict=True):
            if isinstance(reading, Reading):
                before, now = watcher.voted_in, reading.vote.epoch if reading.vote else None
                watcher.voted_in = now
                if now is not None and now != before:
                    room.show_to(watcher)
            else:
                room.voters_known_in = None  # with the next beat

    async def _sweep(self) -> None:
        """Close stuck sockets and empty rooms; release memory once many sockets have left, and
        not while they are still leaving."""
        while True:
            await asyncio.sleep(1)
            now, limit = time.monotonic(), settings.SLOW_SOCKET_SECONDS
            for watchers in [room.watchers for room in self._rooms.values()]:
                for watcher in watchers:
                    if watcher.is_stuck(now, limit):
                        watcher.cut(CloseCode.TOO_SLOW)
            for poll_id, since in list(self._empty_since.items()):
                room = self._rooms[poll_id]
                if room.watchers:
                    del self._empty_since[poll_id]
                elif now - since > _EMPTY_ROOM_SECONDS:
                    self._drop(room)
            if self._releases.is_due(self._admitted, now):
                release_memory()

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:
                logger.warning("%s starts again after: %r", work.__name__, error)
                await asyncio.sleep(_LAYER_RETRY_SECONDS * random.uniform(0.5, 1.5))

    def _spawn(self, work: Any) -> "asyncio.Task[Any]":
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


_hub: Hub | None = None


def running_hub() -> Hub:
    """This process's hub, made on first use by the serving event loop."""
    global _hub
    if _hub is None or _hub.loop.is_closed():
        _hub = Hub()
    return _hub


def hub_if_running() -> Hub | None:
    """The hub, from any thread; None in a process without a server."""
    return None if _hub is None or _hub.loop.is_closed() else _hub


async def stop_hub() -> None:
    """Close every socket of this process as restarting."""
    global _hub
    hub, _hub = _hub, None
    if hub is not None:
        await hub.stop()
