"""Polls as values: states, readings and watchers without a database or a socket."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from polls.results.reader import Reading
from polls.results.results_json import results_of
from polls.rules.poll import PollState
from polls.selectors import PollDetails
from realtime.watcher import Watcher

Json = dict[str, Any]
POLL_ID = UUID("5b0f4a52-3d0c-4a8e-9d43-1f1f0c7a0d11")
MADE_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_state(**changes: Any) -> PollState:
    """An open poll of two options; `red` votes for the first, all others for the second."""
    red = changes.pop("red", 0)
    version = changes.get("version", 0)
    standing: Json = {
        "id": POLL_ID, "code": "K7QM2X", "kind": "single", "min_choices": 1, "max_choices": 1,
        "is_draft": False, "opens_at": None, "closes_at": None, "paused_at": None,
        "closed_at": None, "voter_policy": "device", "vote_change": False,
        "results_visibility": "always", "min_voters": 0, "epoch": 1, "revision": 1,
        "version": version, "voters": version, "votes": version,
        "counts": {"1": red, "2": version - red}, "stars": None,
        "owner_id": None, "owner_key_hash": "",
    }  # fmt: skip
    return PollState(**(standing | changes))


def make_reading(state: PollState, now: datetime | None = None) -> Reading:
    """What the reader answers when the database stands at `state`."""
    status = state.status_at(now or datetime.now(UTC))
    return Reading(
        state,
        status,
        orjson.dumps(results_of(state, status, None)),
        PollDetails(
            state=state,
            question="Which colour?",
            description="",
            options=((1, "Red"), (2, "Green")),
            duration=None,
            listed=True,
            created_at=MADE_AT,
            embed_origins=[],
        ),
    )


class FakeClient:
    """A watcher and what its client got; `take` lets a client that is slow take its next frame."""

    def __init__(self, *, is_slow: bool = False, base_url: str = "http://testserver") -> None:
        self.got: list[Json] = []
        self.got_at: list[float] = []
        self.closed_with: int | None = None
        self._may_take = asyncio.Semaphore(0 if is_slow else 1_000_000)
        self.watcher = Watcher(self._send, self._close, base_url)

    def of_type(self, *kinds: str) -> list[Json]:
        return [frame for frame in self.got if frame["type"] in kinds]

    @property
    def tallies(self) -> list[Json]:
        """Every tally that was shown, in snapshots too."""
        shown = [frame if frame["type"] == "results" else frame.get("results")
                 for frame in self.of_type("snapshot", "results")]  # fmt: skip
        return [tally for tally in shown if tally]

    def take(self, frames: int = 1) -> None:
        for _ in range(frames):
            self._may_take.release()

    async def _send(self, text: str) -> None:
        await self._may_take.acquire()
        self.got.append(orjson.loads(text))
        self.got_at.append(asyncio.get_running_loop().time())

    async def _close(self, code: int) -> None:
        self.closed_with = code
