"""Publishes the events of `polls`: to this process's hub at once, to the channel layer
paced: at most one message a poll each interval, the newest, within a time limit. Messages
of many polls within a few milliseconds go out together.

A failure here is logged and never fails a vote.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from polls import events
from polls.rules.poll import PollState
from realtime import messages, metrics
from realtime.hub import Hub, hub_if_running
from realtime.outage_log import OutageLog
from realtime.pacer import Pacer
from realtime.redis_layer import RedisLayer

outage_log = OutageLog(logging.getLogger(__name__))

_SEND_TIMEOUT_SECONDS = 1.0
_SWEEP_SECONDS = 0.02


@dataclass(slots=True)
class _Outgoing:
    """What is to be published of one poll, and when."""

    pacer: Pacer
    newest: PollState | None = None


class Publisher:
    """Listens to `polls.events`; called in the threads that write, or on their event loop."""

    def __init__(self) -> None:
        self._outgoing: dict[UUID, _Outgoing] = {}
        self._due: dict[UUID, PollState] = {}
        self._sweeper: Pacer | None = None
        self._sending: set[UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self) -> None:
        events.tallies_changed.connect(self.on_tallies_changed)
        events.poll_changed.connect(self.on_poll_changed)

    def on_tallies_changed(self, states: Sequence[PollState], **_: Any) -> None:
        hub = hub_if_running()
        if hub is not None:
            hub.loop.call_soon_threadsafe(self._take_tallies, hub, states)
        else:
            for state in states:
                self._send_now(state.id, messages.tally(state))

    def on_poll_changed(self, poll_id: UUID, deleted: bool, **_: Any) -> None:
        message = messages.poll_changed(poll_id, deleted=deleted)
        hub = hub_if_running()
        if hub is not None:
            hub.loop.call_soon_threadsafe(self._take_poll_change, hub, poll_id, message)
        else:
            self._send_now(poll_id, message)

    # On the hub's loop

    def _take_tallies(self, hub: Hub, states: Sequence[PollState]) -> None:
        hub.take_tallies(list(states))
        for state in states:
            outgoing = self._outgoing.get(state.id) or self._of(state.id)
            if outgoing.newest is None or state.order > outgoing.newest.order:
                outgoing.newest = state
            outgoing.pacer.nudge()

    def _take_poll_change(self, hub: Hub, poll_id: UUID, message: dict[str, Any]) -> None:
        hub.take_poll_change(poll_id, deleted=message["deleted"])
        self._spawn(self._send([(poll_id, message)]))

    def _of(self, poll_id: UUID) -> "_Outgoing":
        pacer = Pacer(
            settings.BROADCAST_INTERVAL_MS / 1000,
            lambda: self._send_newest(poll_id),
            on_rest=lambda: self._outgoing.pop(poll_id, None),
        )
        outgoing = self._outgoing[poll_id] = _Outgoing(pacer)
        return outgoing

    def _send_newest(self, poll_id: UUID) -> None:
        outgoing = self._outgoing[poll_id]
        if outgoing.newest is None:
            return
        if poll_id in self._sending:  # Redis is slow: the next beat takes a newer one along
            outgoing.pacer.nudge()
            return
        self._sending.add(poll_id)
        self._due[poll_id], outgoing.newest = outgoing.newest, None
        if self._sweeper is None or self._sweeper.is_of_another_loop:
            self._sweeper = Pacer(_SWEEP_SECONDS, self._sweep)
        self._sweeper.nudge()

    def _sweep(self) -> None:
        due, self._due = self._due, {}
        self._spawn(self._send_tallies(due))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_tallies(self, states: Mapping[UUID, PollState]) -> None:
        try:
            await self._send([(id, messages.tally(state)) for id, state in states.items()])
        finally:
            self._sending.difference_update(states)

    async def _send(self, due: Sequence[tuple[UUID, dict[str, Any]]]) -> None:
        layer = get_channel_layer()
        to_groups = [(messages.group(poll_id), message) for poll_id, message in due]
        if isinstance(layer, RedisLayer):
            await _try(layer.group_send_many(to_groups))
        else:
            for group, message in to_groups:
                await _try(layer.group_send(group, message))

    # In a process without a hub

    def _send_now(self, poll_id: UUID, message: dict[str, Any]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            async_to_sync(self._send)([(poll_id, message)])
        else:
            self._spawn(self._send([(poll_id, message)]))


async def _try(sending: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(_SEND_TIMEOUT_SECONDS):
            await sending
    except Exception as error:  # screens elsewhere will follow from the database
        metrics.LAYER_FAILURES.inc()
        outage_log.warn("the channel layer did not take a message", error)


publisher = Publisher()
