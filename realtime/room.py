"""All watchers of one poll in this process, and the newest state that is known of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import orjson

from polls.poll_json import poll_object
from polls.results.cache import with_as_of
from polls.results.reader import Reading
from polls.results.results_json import results_of
from polls.rules.kinds import kind_of
from polls.rules.poll import PollState, Status, Visibility, may_see_results
from polls.selectors import PollDetails
from realtime import frames, metrics, wire
from realtime.audience import Audience
from realtime.close_codes import CloseCode
from realtime.pacer import Pacer
from realtime.row import Row
from realtime.watcher import Watcher

_LONGEST_TIMER_SECONDS = 3600.0
# A timer may fire a little early by the wall clock; the status is then not yet the new one.
_TIMER_SLACK_SECONDS = 0.005


class Room:
    """A poll's watchers. Never shows an older state after a newer one.

    Args:
        reading: with details and results.
        interval_seconds: between two results frames.
        refresh: asks the hub to read the poll again and call `update`.
        audience: is told how many watch here, and knows how many do elsewhere.
    """

    def __init__(
        self,
        reading: Reading,
        interval_seconds: float,
        refresh: Callable[["Room"], None],
        audience: Audience,
    ) -> None:
        assert reading.details is not None
        assert reading.results is not None
        self.watchers: set[Watcher] = set()
        self._audience = audience
        self.state: PollState = reading.state
        self.details: PollDetails = reading.details
        self._status: Status = reading.status
        self._results: bytes | None = reading.results
        self._refresh = refresh
        self.is_over = False
        self.voters_known_in: PollState | None = None  # when it was last asked who voted
        self._rows: list[Row] = []
        self._interval = interval_seconds
        # What it was made of, and it.
        self._kept_poll: tuple[object, bytes] | None = None
        self._kept_frame: tuple[object, tuple[str, bytes]] | None = None
        # Where results need every ballot, they are read once an interval.
        self._reads = Pacer(interval_seconds, lambda: refresh(self))
        self._moment: datetime | None = None  # when the clock alone changes the status next
        self._timer: asyncio.TimerHandle | None = None
        self._set_timer()

    @property
    def id(self) -> UUID:
        return self.state.id

    @property
    def ownership(self) -> tuple[int | None, str]:
        """The owner's account and key hash: a proof of ownership holds while they are the same."""
        return (self.state.owner_id, self.state.owner_key_hash)

    @property
    def watching(self) -> int:
        """How many sockets watch the poll: here, and by the other processes' last messages."""
        return len(self.watchers) + self._audience.elsewhere(self.id)

    def add(self, watcher: Watcher) -> None:
        """Send the snapshot, then all that is newer."""
        self.watchers.add(watcher)
        self._seat(watcher)
        self._audience.count_here(self.id, len(self.watchers))
        results = self._encoded() if self.may_see(watcher) else None
        watcher.seen = results
        now = datetime.now(UTC)
        shown = results and with_as_of(results, now)
        poll = self._poll(watcher.base_url)
        watcher.post(frames.snapshot(poll, shown, now, self.watching))

    def remove(self, watcher: Watcher) -> None:
        """The socket has gone."""
        self.watchers.discard(watcher)
        row = next((row for row in self._rows if watcher in row.watchers), None)
        if row is not None:
            row.watchers.discard(watcher)
            if not row.watchers:
                row.stop()
                self._rows.remove(row)
        self._audience.count_here(self.id, len(self.watchers))

    def show_to(self, watcher: Watcher) -> None:
        """Send the tally to a watcher that may see it only now."""
        if watcher.seen != self._encoded() and self.may_see(watcher):
            watcher.seen = self._encoded()
            watcher.offer(frames.results(self._encoded(), self.watching))

    def identified(self) -> list[Watcher]:
        """Watchers whose right to see the tally depends on a vote that may have come or gone."""
        if self.state.results_visibility != Visibility.AFTER_VOTE:
            return []
        return [
            watcher
            for watcher in self.watchers
            if watcher.identity and (self.state.vote_change or watcher.voted_in != self.state.epoch)
        ]

    def may_see(self, watcher: Watcher) -> bool:
        return may_see_results(
            self.state,
            self._status,
            is_owner=watcher.owned_as == self.ownership,
            has_voted=watcher.voted_in == self.state.epoch,
        )

    def take_tally(self, state: PollState) -> None:
        """Take a newer tally, from an event or a message.

        Its numbers are taken as they are; where the poll's rules changed with it, or its
        results need every ballot, the hub is asked to read.
        """
        if state.order <= self.state.order:
            return
        if (state.epoch, state.revision) != (self.state.epoch, self.state.revision):
            self._refresh(self)
            return
        if kind_of(state.kind).needs_ballots:
            self._reads.nudge()
        else:
            self.state, self._results = state, None
            self._nudge()

    def is_due(self, now: datetime) -> bool:
        """Whether the clock has changed the status and that was not read yet."""
        return self._moment is not None and self._moment <= now

    def update(self, reading: Reading) -> None:
        """Take the poll as it was just read; send watchers what is new in it."""
        assert reading.details is not None
        known, state = self.state, reading.state
        poll_order = (state.epoch, state.revision)
        if poll_order < (known.epoch, known.revision):
            return
        poll_changed = poll_order > (known.epoch, known.revision) or reading.status != self._status
        self.details, self._status = reading.details, reading.status
        if state.order >= known.order:
            self.state, self._results = state, reading.results
        elif poll_changed:
            self._results = None
        if poll_changed:
            self._send_poll()
        self._set_timer()
        if poll_changed or state.order > known.order:
            self._nudge()

    def end(self) -> None:
        """The poll was deleted: say so and close every socket."""
        self._send_poll(status="deleted")
        for watcher in self.watchers:
            watcher.end(CloseCode.NO_SUCH_POLL)

    def stop(self) -> None:
        self.is_over = True
        self._reads.stop()
        for row in self._rows:
            row.stop()
        if self._timer is not None:
            self._timer.cancel()

    def _send_poll(self, **changes: str) -> None:
        by_base_url: dict[str, str] = {}
        for watcher in self.watchers:
            frame = by_base_url.get(watcher.base_url)
            if frame is None:
                frame = frames.poll(self._poll(watcher.base_url, **changes))
                by_base_url[watcher.base_url] = frame
            if watcher.withdraw() or not self.may_see(watcher):
                watcher.seen = None  # what was laid out for it may be of another state
            watcher.post(frame)

    def _seat(self, watcher: Watcher) -> None:
        """Give it a place in the first row that has one."""
        row = next((row for row in reversed(self._rows) if not row.is_full), None)
        if row is None:
            taken = {row.number for row in self._rows}  # of a row that emptied, free again
            number = next(number for number in count() if number not in taken)
            row = Row(number, self._interval, self._send_results)
            self._rows.append(row)
        row.watchers.add(watcher)

    def _nudge(self) -> None:
        for row in self._rows:
            row.nudge()

    def _send_results(self, watchers: set[Watcher]) -> None:
        """Lay the newest tally in the slot of each of these that may see it and has not."""
        body = self._encoded()
        is_public = self.state.results_visibility == Visibility.ALWAYS
        frame, encoded = self._frame(body, self.watching)
        handed = skipped = 0
        for watcher in watchers:
            if watcher.seen != body and (is_public or self.may_see(watcher)):
                watcher.seen = body
                handed += 1
                direct = watcher.direct
                if direct is None or not direct.write(encoded):
                    skipped += watcher.offer(frame)
        metrics.FRAMES.inc(handed)
        metrics.SKIPPED.inc(skipped)

    def _frame(self, body: bytes, watching: int) -> tuple[str, bytes]:
        """The results frame as text and as it is written; rows that show the same share it."""
        if self._kept_frame is None or self._kept_frame[0] != (body, watching):
            frame = frames.results(body, watching)
            self._kept_frame = (body, watching), (frame, wire.encode(frame))
        return self._kept_frame[1]

    def _encoded(self) -> bytes:
        if self._results is None:
            self._results = orjson.dumps(results_of(self.state, self._status, None))
        return self._results

    def _poll(self, base_url: str, **changes: str) -> bytes:
        """The poll object; kept as long as nothing changes it, for those who come together."""
        now = datetime.now(UTC)
        made_of = (base_url, self.state, self.details, self._status, changes)
        if self._kept_poll is None or self._kept_poll[0] != made_of or self.is_due(now):
            details = replace(self.details, state=self.state)
            body = orjson.dumps(poll_object(details, base_url, now) | changes)
            self._kept_poll = made_of, body
        return self._kept_poll[1]

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = datetime.now(UTC)
        self._moment = self.state.next_moment(now)
        if self._moment is None:
            return
        wait = (self._moment - now).total_seconds() + _TIMER_SLACK_SECONDS
        self._timer = asyncio.get_running_loop().call_later(
            min(wait, _LONGEST_TIMER_SECONDS), self._on_moment
        )

    def _on_moment(self) -> None:
        self._timer = None
        self._refresh(self)  # sets the next by `update`; if it cannot, the hub finds this one due
