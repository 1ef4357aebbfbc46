"""A ballot box that counts what its committer is given, and votes to put into it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from polls import services
from polls.database.async_connection import AsyncConnection
from polls.identity.voters import Identity, voter_key_of_code
from polls.models import Poll
from polls.recount import recount_poll
from polls.selectors import state_of
from polls.voting.ballot_box import BallotBox
from polls.voting.committer import store
from polls.voting.first_votes import ADD_FIRST_VOTES
from polls.voting.vote import Cast, Outcome
from tests.polls.elsewhere import elsewhere
from tests.polls.kinds.states import option_texts

CODES = [f"CODE-{number}" for number in range(4)]
# So often is a connection asked for before an event loop gets one of its own.
_ENOUGH = 20


def make_poll(kind: str = "single", policy: str = "device") -> Poll:
    poll, _ = services.create_poll(
        question="?",
        options=option_texts(kind),
        kind=kind,
        voter_policy=policy,
        vote_change=True,
    )
    for number, code in enumerate(CODES[:-1] if policy == "code" else []):
        poll.voter_codes.create(voter=voter_key_of_code(state_of(poll), code), number=number)
    return poll


def cast(poll: Poll, name: str, choice: int = 1) -> Cast:
    return Cast(poll.id, Identity(name, "", name), {"choices": [choice]})


def casts(poll: Poll, *names: str) -> list[Cast]:
    return [cast(poll, name) for name in names]


def verdicts(answers: Sequence[Any]) -> list[str]:
    """What became of each: a verdict, or the code of the refusal."""
    found = []
    for one in answers:
        error = one.error if isinstance(one, Outcome) else one
        found.append(one.verdict.value if error is None else error.code)
    return found


class WatchedBox:
    """A ballot box; `committed` is how many votes its committer was given, `stored` how many
    batches the fast lane sent."""

    def __init__(self, *, capacity: int = 1000, batch_size: int = 50) -> None:
        self.committed = 0
        self.stored = 0
        self.box = BallotBox(capacity=capacity, batch_size=batch_size, store=self._store)

    def _store(self, batch: Sequence[Cast]) -> Sequence[Outcome | BaseException]:
        self.committed += len(batch)
        return store(batch)

    async def cast_all(self, batch: Sequence[Cast]) -> list[Any]:
        async with asyncio.timeout(20):
            return await asyncio.gather(*map(self.box.cast, batch), return_exceptions=True)

    async def connect(self) -> None:
        """Ask for so much that the event loop gets its fast lane."""
        nobody = Cast("ABSENT", Identity("", "", ""), None)
        async with asyncio.timeout(20):
            while not self.box.has_loop_connection():
                assert set(verdicts(await self.cast_all([nobody] * _ENOUGH))) == {"poll_not_found"}
        self.committed = self.stored = 0


class Fetches:
    """Stands at `AsyncConnection.fetch`: counts the statements of first votes, and can do
    something before or after the next one of a kind."""

    def __init__(self, box: WatchedBox) -> None:
        self._box = box
        self._fetch = AsyncConnection.fetch
        self._before: dict[str, Callable[[], Any]] = {}
        self._after: dict[str, Callable[[], Any]] = {}
        self._instead: dict[str, str] = {}

    async def __call__(self, connection: AsyncConnection, sql: str, *arguments: Any) -> Any:
        kind = "store" if sql == ADD_FIRST_VOTES else "look up"
        self._box.stored += kind == "store"
        if act := self._before.pop(kind, None):
            await act()
        if instead := self._instead.pop(kind, None):
            return await self._fetch(connection, instead)
        rows = await self._fetch(connection, sql, *arguments)
        if act := self._after.pop(kind, None):
            await act()
        return rows

    def before(self, kind: str, act: Callable[[], Any]) -> None:
        self._before[kind] = act

    def after(self, kind: str, act: Callable[[], Any]) -> None:
        self._after[kind] = act

    def instead(self, kind: str, sql: str) -> None:
        self._instead[kind] = sql


async def assert_exact(poll: Poll, *, voters: int, version: int) -> None:
    """The poll says this, and its record of votes says the same."""

    def check() -> None:
        poll.refresh_from_db()
        assert (poll.voters, poll.version) == (voters, version)
        assert recount_poll(poll.id) == []

    await elsewhere(check)
