"""A socket that watches a poll: accept, snapshot, hang on the hub, leave.

It has no channel of its own and touches no ORM: tallies come from the hub, straight to
the socket's sender.
"""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from django.conf import settings

from polls.errors import (
    InvalidToken,
    InvalidVoterCode,
    Malformed,
    NotOwner,
    OriginNotAllowed,
    Overloaded,
    PollError,
    PollNotFound,
    RateLimited,
)
from polls.http.attempts import current_attempts
from polls.http.caller import Caller, read_caller
from polls.http.origins import check_host_and_origin
from polls.http.request import RawRequest
from polls.identity.owners import is_owner
from polls.refs import parse_ref
from polls.results.reader import PollQuery, reader
from polls.rules.credentials import Credential
from polls.rules.limits import LIMITS
from polls.rules.poll import Visibility, VoterPolicy
from realtime import frames, wire
from realtime.close_codes import CloseCode
from realtime.hub import Hub, running_hub
from realtime.room import Room
from realtime.watcher import Watcher

logger = logging.getLogger(__name__)

_BAD_FRAMES_ALLOWED = 5
# What an identify frame may bring, and the scheme under which a request would.
_SCHEMES = {"voter_token": "Voter", "access_token": "Bearer", "owner_key": "Bearer"}
_PROOFS = (*_SCHEMES, "voter_code")


class _BareConsumer(AsyncConsumer):  # type: ignore[misc] # channels ships no types
    """A consumer without a channel, and so without the task that would wait for one; spares
    each frame the thread hop of `dispatch`."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scope = scope
        self.base_send = send
        with suppress(StopConsumer):
            while True:
                await self.dispatch(await receive())

    async def dispatch(self, message: dict[str, Any]) -> None:
        await getattr(self, get_handler_name(message))(message)

    async def accept_and_close(self, code: int) -> None:
        """Close with a code: a client only ever sees one after the handshake."""
        await self.send({"type": "websocket.accept"})
        await self.send({"type": "websocket.close", "code": int(code)})
        raise StopConsumer


class NoSuchSocket(_BareConsumer):
    """Closes sockets on every other path with 4404."""

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        await self.accept_and_close(CloseCode.NO_SUCH_POLL)


class PollConsumer(_BareConsumer):
    """/ws/polls/{id}/

    Attributes:
        caller: all that the handshake and identify frames have proved so far.
    """

    hub: Hub
    room: Room | None = None
    watcher: Watcher
    caller: Caller
    voter_code = ""
    admitted: str | None = None
    serving: "asyncio.Task[None] | None" = None
    is_cut = False
    bad_frames = 0
    frames_in_second = 0
    second = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.serving = asyncio.current_task()
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if not self.is_cut:
                raise
        finally:
            self._leave()

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        request = RawRequest.of(self.scope)
        try:
            check_host_and_origin(request)
        except (Malformed, OriginNotAllowed):
            await self.accept_and_close(CloseCode.NOT_ALLOWED)
        address = request.address
        self.hub = running_hub()
        if not self.hub.admit(address):
            await self.accept_and_close(CloseCode.TOO_MANY)
        self.admitted = address
        self.caller = Caller(address)
        named: str = self.scope["url_route"]["kwargs"]["ref"]
        ref = parse_ref(named)
        if ref is None:
            await current_attempts.get().count(PollNotFound(), poll="")
            await self.accept_and_close(CloseCode.NO_SUCH_POLL)
            return
        await self.send({"type": "websocket.accept"})
        self.watcher = Watcher(
            self._send_text,
            self._close,
            _base_url(request),
            writer=wire.writer_of(self.base_send),
            on_cut=self._give_up,
        )
        wire.when_ended(self.base_send, self.watcher.stop)
        try:
            self.room = await self.hub.join(ref)
            current_attempts.get().found(named)
            try:
                await self._learn(request.caller(), request.header(b"voter-code"))
                await self._look_who_voted()
            except (InvalidToken, RateLimited) as error:  # counts as none: a cookie may be stale
                await self._count_miss(error)
            current_attempts.get().end()
            while self.room.is_over:  # given up as empty, or deleted, in the meantime
                self.room = await self.hub.join(ref)
        except PollNotFound as missing:
            await current_attempts.get().count(missing, poll=named)
            await self._close(CloseCode.NO_SUCH_POLL)
            raise StopConsumer from None
        except Overloaded:
            await self._close(CloseCode.TRY_AGAIN)
            raise StopConsumer from None
        assert self.room is not None
        self.room.add(self.watcher)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if self.room is None:
            return
        if self._is_flooding():
            self._end(CloseCode.TOO_MANY)
            return
        frame = _parse(message)
        kind = frame.get("type")
        if kind == "ping":
            self.watcher.post(frames.pong(datetime.now(UTC), self.room.watching))
        elif kind == "identify":
            await self._on_identify(frame)
        else:
            self._complain("malformed", 'Send {"type": "ping"} or an identify frame.')

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        raise StopConsumer

    async def _on_identify(self, frame: dict[str, Any]) -> None:
        given = [
            f"{scheme} {frame[name]}"
            for name, scheme in _SCHEMES.items()
            if isinstance(frame.get(name), str)
        ]
        voter_code = frame["voter_code"] if isinstance(frame.get("voter_code"), str) else ""
        if not given and not voter_code:
            self._complain("malformed", f"Identify with one of: {', '.join(_PROOFS)}.")
            return
        for authorization in given:  # a stale token must not spoil a good key
            try:
                await self._learn(
                    read_caller(
                        authorization=authorization, voter_cookie="", address=self.caller.address
                    )
                )
            except PollError as refused:
                error = await self._count_miss(refused)
                self._complain(error.code, error.detail)
        try:
            if voter_code:
                await current_attempts.get().check(Credential.VOTER_CODE)
            await self._learn(self.caller, voter_code)
            await self._look_who_voted()
        except PollError as refused:
            error = await self._count_miss(refused)
            self._complain(error.code, error.detail)
        finally:
            current_attempts.get().end()
        assert self.room is not None
        self.room.show_to(self.watcher)

    async def _learn(self, caller: Caller, voter_code: str = "") -> None:
        """Add what this caller proves to what is known; the owner is one as soon as they prove it.

        A code and the voter token that cast its vote may come in two frames. A wrong owner key is
        counted and not answered.

        Raises:
            RateLimited: a wrong owner key, beyond the limit.
        """
        assert self.room is not None
        known = self.caller
        self.caller = Caller(
            known.address,
            device=caller.device or known.device,
            token=caller.token or known.token,
            account_id=caller.account_id if caller.account_id is not None else known.account_id,
        )
        self.voter_code = voter_code or self.voter_code
        if is_owner(self.room.state, key=caller.owner_key, account_id=caller.account_id):
            self.watcher.owned_as = self.room.ownership
        elif caller.owner_key:
            await self._refuse_beyond_limit(NotOwner(missed=Credential.OWNER_KEY))

    async def _look_who_voted(self) -> None:
        """Find out whether this is a voter who has voted, and has cast that vote.

        With public results this matters once the owner hides them. A wrong code is counted and not
        answered.

        Raises:
            Overloaded
            RateLimited: a wrong code, beyond the limit.
        """
        assert self.room is not None
        state, caller = self.room.state, self.caller
        is_voter = {
            VoterPolicy.DEVICE: caller.device is not None,
            VoterPolicy.ACCOUNT: caller.account_id is not None,
            VoterPolicy.CODE: bool(self.voter_code),  # a wrong one is an attempt, token or not
            VoterPolicy.IP: caller.device is not None,
        }.get(VoterPolicy(state.voter_policy))
        if not is_voter:
            return
        self.watcher.identity = caller.known_identity(self.voter_code)
        if state.results_visibility != Visibility.ALWAYS:
            reading = await reader.read(PollQuery(state.id, identity=self.watcher.identity))
            self.watcher.voted_in = reading.vote.epoch if reading.vote else None
            if reading.is_unknown_code:
                await self._refuse_beyond_limit(InvalidVoterCode())

    async def _count_miss(self, error: PollError) -> PollError:
        assert self.room is not None
        return await current_attempts.get().count(error, poll=str(self.room.state.id))

    async def _refuse_beyond_limit(self, error: PollError) -> None:
        counted = await self._count_miss(error)
        if isinstance(counted, RateLimited):
            raise counted

    def _is_flooding(self) -> bool:
        if not settings.RATE_LIMITS:
            return False
        second = int(time.monotonic())
        if second != self.second:
            self.second, self.frames_in_second = second, 0
        self.frames_in_second += 1
        return self.frames_in_second > settings.SOCKET_FRAMES_PER_SECOND

    def _complain(self, code: str, detail: str) -> None:
        self.bad_frames += 1
        if self.bad_frames > _BAD_FRAMES_ALLOWED:
            self._end(CloseCode.BAD_FRAMES)
        else:
            self.watcher.post(frames.error(code, detail))

    def _end(self, code: CloseCode) -> None:
        """Close for a client that oversteps; it is not read any more, where the server allows."""
        if not wire.end(self.base_send, code):
            self.watcher.end(code)

    def _give_up(self) -> None:
        """End the connection without a close handshake: the client does not read."""
        wire.abort(self.base_send)
        if self.serving is not None:
            self.is_cut = True
            self.serving.cancel()

    async def _send_text(self, text: str) -> None:
        await self.base_send({"type": "websocket.send", "text": text})

    async def _close(self, code: int) -> None:
        await self.base_send({"type": "websocket.close", "code": int(code)})

    def _leave(self) -> None:
        if self.room is not None:
            self.watcher.stop()
            self.hub.leave(self.room, self.watcher)
        if self.admitted is not None:
            wire.when_gone(self.base_send, partial(self.hub.dismiss, self.admitted))


def _parse(message: dict[str, Any]) -> dict[str, Any]:
    """A client's frame; an empty one stands for everything that is not a JSON object."""
    text = message.get("text")
    if not text or len(text.encode()) > LIMITS["websocket_frame_bytes"]:
        return {}
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return frame if isinstance(frame, dict) else {}


def _base_url(request: RawRequest) -> str:
    return f"{'https' if request.is_secure else 'http'}://{request.header(b'host')}"
