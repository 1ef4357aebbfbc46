"""The one place that counts attempts: what matched nothing, from where, aimed at what.

A miss counts at its address and at its target (a poll, an account). Beyond the address's limit a
guessable credential (join code, voter code, password, account name) is refused before it is looked
up. One that cannot be guessed is looked up all the same, and counts apart: the right one passes,
the wrong one is 429, and no crowd with stale tokens stops anyone. Beyond a target's limit
everything is looked up: the right credential passes, the wrong one is 429. So no client locks
out a voter or owner by guessing at them, and who guesses is held by address.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Coroutine, Iterator
from threading import Lock
from typing import Any, TypeVar

from django.conf import settings
from limits import parse

from livepoll.counters import Counters, Limit, Window
from livepoll.guessers import Guessers
from polls.errors import PollError, RateLimited
from polls.http.attempts import Attempts
from polls.http.request import RawRequest
from polls.refs import parse_ref
from polls.rules.credentials import Credential, credential_of_ref
from polls.security_events import Event, poll_target, report, tag_of

Answer = TypeVar("Answer")

_MOST_KNOWN = 10_000
_HASHED = (Credential.PASSWORD, Credential.ACCOUNT_NAME)  # each try costs a hash
_THREAD_WAITS_SECONDS = 10.0


class MissLimits:
    """The limits on misses, and the counts of this process or of all. One a process."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.is_on = settings.RATE_LIMITS
        self.guesses = Limit("guesses", parse(settings.RATE_MISSES))
        self.forgeries = Limit("forgeries", parse(settings.RATE_MISSES))
        self.poll = Limit("poll_misses", parse(settings.RATE_POLL_MISSES))
        self.account = Limit("account_misses", parse(settings.RATE_ACCOUNT_MISSES))
        # One account from one address: the address of a hall has many accounts.
        self.passwords = Limit("passwords", parse(settings.RATE_PASSWORDS))
        # Attempts that were let in and are not decided yet, by limit and key: a burst of them must
        # not pass a check that none of them has counted in. On the event loop only.
        self.pending: Counter[tuple[str, str]] = Counter()
        self.guessers = Guessers()
        self._learning = Lock()
        # Join codes of polls that an address has found: to name one again is no guess.
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def knows(self, address: str, ref: str) -> bool:
        return (address, ref.upper()) in self._known

    def learn(self, address: str, ref: str) -> None:
        """From any thread."""
        key = address, ref.upper()
        with self._learning:
            self._known[key] = None
            self._known.move_to_end(key)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)

    def all(self) -> tuple[Limit, ...]:
        return self.guesses, self.forgeries, self.poll, self.account, self.passwords


class CountedAttempts(Attempts):
    """The attempts of one request or socket. Made on the event loop; any other may ask too."""

    __slots__ = ("_limits", "_loop", "_pending", "_request")

    def __init__(self, limits: MissLimits, request: RawRequest) -> None:
        self._limits = limits
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._pending: tuple[tuple[str, str], ...] = ()

    @property
    def _address(self) -> str:
        return self._request.address

    async def check(self, credential: Credential, *, poll: str = "", account: str = "") -> None:
        if self._limits.is_on and credential.is_guessable:
            await self._on_loop(self._check(credential, poll, account))

    async def count(self, error: PollError, *, poll: str = "", account: str = "") -> PollError:
        if error.missed is None:
            return error
        return await self._on_loop(self._count(error, error.missed, poll, account))

    def found(self, poll: str) -> None:
        if self._limits.is_on and credential_of_ref(poll) is Credential.JOIN_CODE:
            self._limits.learn(self._address, poll)

    def signed_in(self) -> None:
        self._limits.guessers.succeed(self._address)

    def is_guessing(self) -> bool:
        return self._limits.guessers.knows(self._address)

    def end(self) -> None:
        pending = self._limits.pending
        for place in self._pending:
            pending[place] -= 1
            if not pending[place]:
                del pending[place]
        self._pending = ()

    def check_now(self, credential: Credential, *, poll: str = "", account: str = "") -> None:
        self._wait_for(self.check(credential, poll=poll, account=account))

    def count_now(self, error: PollError, *, poll: str = "", account: str = "") -> PollError:
        return self._wait_for(self.count(error, poll=poll, account=account))

    async def _check(self, credential: Credential, poll: str, account: str) -> None:
        if credential is Credential.JOIN_CODE and self._limits.knows(self._address, poll):
            return
        await self._ask_for_room(self._limits.guesses, self._address)
        if credential is Credential.PASSWORD:
            target = _target(credential, poll, account)
            await self._ask_for_room(self._limits.passwords, self._pair(target))

    async def _ask_for_room(self, limit: Limit, key: str) -> None:
        window = await self._limits.counters.window(limit, key)
        place, pending = (limit.name, key), self._limits.pending
        if window.remaining <= pending[place]:
            report(Event.LIMIT_MET, limit.name, address=self._address)
            raise limited_by(limit, window)
        pending[place] += 1
        self._pending += (place,)

    async def _count(
        self, error: PollError, credential: Credential, poll: str, account: str
    ) -> PollError:
        if credential is Credential.JOIN_CODE:
            credential = credential_of_ref(poll)
        target = _target(credential, poll, account)
        self._report(credential, target)
        if credential in _HASHED:
            self._limits.guessers.miss(self._address)
        if not self._limits.is_on:
            return error
        for limit, key in self._counted(credential, target):
            if not await self._limits.counters.hit(limit, key):
                return await self._over(limit, key, error)
        return error

    def _counted(self, credential: Credential, target: str) -> Iterator[tuple[Limit, str]]:
        """The limits under which a miss counts, and by what; the address's own first. Beyond one of
        them the miss counts under no other: an address that is over spends no target's limit, and
        makes no windows by aiming at ever new targets."""
        limits = self._limits
        yield limits.guesses if credential.is_guessable else limits.forgeries, self._address
        if credential is Credential.PASSWORD:
            yield limits.passwords, self._pair(target)
            yield limits.account, tag_of(target)
        elif target:
            yield limits.poll, tag_of(target)

    def _pair(self, target: str) -> str:
        return f"{self._address} {tag_of(target)}"

    def _report(self, credential: Credential, target: str) -> None:
        is_password = credential is Credential.PASSWORD
        report(
            Event.SIGN_IN_FAILED if is_password else Event.CREDENTIAL_MISSED,
            "" if is_password else credential.value,
            address=self._address,
            target=target,
        )

    async def _over(self, limit: Limit, key: str, instead_of: PollError) -> RateLimited:
        report(Event.LIMIT_MET, limit.name, address=self._address)
        error = limited_by(limit, await self._limits.counters.window(limit, key))
        error.forgets_cookie = instead_of.forgets_cookie
        return error

    async def _on_loop(self, answer: Coroutine[Any, Any, Answer]) -> Answer:
        if asyncio.get_running_loop() is self._loop:
            return await answer
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, self._loop))

    def _wait_for(self, answer: Coroutine[Any, Any, Answer]) -> Answer:
        asked = asyncio.run_coroutine_threadsafe(answer, self._loop)
        return asked.result(_THREAD_WAITS_SECONDS)


def _target(credential: Credential, poll: str, account: str) -> str:
    """What was aimed at, for logs and as a name of a count: nothing where a name was guessed, and
    by a token, which is of no poll: a crowd with stale cookies must not spend the poll's limit."""
    if account:
        return f"account:{account}"
    is_of_a_poll = credential in (Credential.VOTER_CODE, Credential.OWNER_KEY)
    return poll_target(parse_ref(poll)) if poll and is_of_a_poll else ""


def limited_by(limit: Limit, window: Window) -> RateLimited:
    """The refusal of what is beyond a limit."""
    return RateLimited(
        f"At most {limit.item} ({limit.name}).",
        limit=limit.amount,
        retry_after=window.reset_seconds,
    )
