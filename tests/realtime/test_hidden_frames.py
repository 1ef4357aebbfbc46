"""Hidden results reach no socket by any frame.

As in tests/polls/test_hidden_results.py: two polls alike but for what people voted, and a
socket that may not see the results must be sent the same frames of both at every event.
Every frame that the server can send is in the list below, and a new one must be put there.
"""

import inspect
import re
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import orjson
import pytest

from polls.rules.kinds import KINDS
from realtime import frames
from tests.poll_api import Json, PollApi, owner_headers
from tests.polls.kinds.ballots import two_bodies
from tests.polls.kinds.states import option_texts
from tests.polls.tallies import tallies_in
from tests.realtime.asgi_socket import AsgiSocket

pytestmark = pytest.mark.slow

MAY_SHOW_A_TALLY = {"snapshot", "results"}
SHOWS_NONE = {"poll", "pong", "error"}
NO_FRAMES = {"encode"}


def test_every_frame_is_looked_at() -> None:
    made = {
        name
        for name, one in inspect.getmembers(frames, inspect.isfunction)
        if one.__module__ == frames.__name__
    }
    assert made == MAY_SHOW_A_TALLY | SHOWS_NONE | NO_FRAMES


async def make_twins(
    api: PollApi, kind: str = "single", **rules: Any
) -> list[tuple[Json, list[Json]]]:
    """Two polls, and the ballots of three voters for each."""
    one, other = two_bodies(kind)
    fields = {"kind": kind, "options": option_texts(kind), "vote_change": True, **rules}
    return [
        (await api.create(**fields), ballots)
        for ballots in ([one, one, other], [one, other, other])
    ]


def seen(poll: Json, frame: Json) -> str:
    """A frame without the poll's id and code, times, and who came first of those who watch."""
    text = orjson.dumps(frame).decode().replace(poll["id"], "ID").replace(poll["code"], "CODE")
    text = re.sub(r'"watching":[12]\b', '"watching":…', text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)


def assert_alike(one: list[str], other: list[str]) -> None:
    """Frame by frame, each shown whole where they differ."""
    for place, (frame, twin) in enumerate(zip_longest(one, other)):
        assert frame == twin, f"at {place} of {len(one)} and {len(other)}"


class Watched:
    """A socket, and every frame it was sent."""

    def __init__(self, poll: Json, headers: Mapping[str, str] | None = None) -> None:
        self.socket = AsgiSocket(f"/ws/polls/{poll['id']}/", headers)
        self.frames: list[Json] = []

    async def until(self, kind: str) -> Json:
        """Take frames up to the next one of this type."""
        while True:
            self.frames.append(await self.socket.next())
            if self.frames[-1]["type"] == kind:
                return self.frames[-1]

    async def take_all(self) -> None:
        """All that waits: a tally's slot comes after the answer to one ping, before the next."""
        for _ in range(2):
            self.socket.send({"type": "ping"})
            await self.until("pong")


async def live_through_everything(
    api: PollApi, poll: Json, ballots: list[Json], headers: Mapping[str, str] | None = None
) -> list[Json]:
    """Votes, a change, a retraction, every act and edit; what a socket was sent meanwhile.

    An owner's socket tells when a tally has been sent to all who may see it.
    """
    watched, owners = Watched(poll, headers), Watched(poll, owner_headers(poll))
    async with owners.socket, watched.socket:
        await watched.until("snapshot")
        for voter, ballot in zip("bcd", ballots, strict=True):
            await api.vote(poll, ballot, voter=voter)
            await watched.take_all()
        while True:
            shown = await owners.until("results")
            if shown["version"] >= len(ballots):
                break
        await watched.take_all()
        for act in ("pause", "open", "reset"):
            await api.act(poll, act)
            await watched.until("poll")
            await watched.take_all()
        await api.vote(poll, ballots[-1], voter="b")
        await api.change(poll, question="Which colour really?")
        await watched.until("poll")
        while (await owners.until("results"))["version"] != 1:
            pass
        for frame in ({"type": "identify", "voter_token": "forged"}, {"type": "tally"}):
            watched.socket.send(frame)
            await watched.until("error")
        await watched.take_all()
        await api.delete(poll)
        await watched.until("poll")
    return watched.frames


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("visibility", ["after_vote", "after_close", "owner"])
async def test_a_stranger_is_sent_the_same_with_any_votes(
    api: PollApi, visibility: str, kind: str
) -> None:
    seen_frames = []
    for poll, ballots in await make_twins(api, kind, results_visibility=visibility):
        sent = await live_through_everything(api, poll, ballots)
        assert [frame for frame in sent if tallies_in(frame) or frame.get("results")] == []
        assert {frame["type"] for frame in sent} == {"snapshot", "poll", "pong", "error"}
        seen_frames.append([seen(poll, frame) for frame in sent])
    assert_alike(*seen_frames)


@pytest.mark.parametrize("visibility", ["after_close", "owner"])
async def test_a_voter_is_sent_no_more_than_a_stranger(api: PollApi, visibility: str) -> None:
    seen_frames = []
    for poll, ballots in await make_twins(api, results_visibility=visibility):
        token = (await api.vote(poll, 1, voter="a"))["voter_token"]
        headers = {"Cookie": f"voter={token}"}
        sent = await live_through_everything(api, poll, ballots, headers)
        assert [frame for frame in sent if tallies_in(frame) or frame.get("results")] == []
        seen_frames.append([seen(poll, frame) for frame in sent])
    assert_alike(*seen_frames)


@pytest.mark.parametrize("visibility", ["after_vote", "after_close", "owner"])
async def test_a_socket_that_saw_results_sees_no_more_once_the_rule_is_stricter(
    api: PollApi, visibility: str
) -> None:
    """Also where the vote is recorded right behind the edit, before any socket is told."""
    poll = await api.create()
    watched, owners = Watched(poll), Watched(poll, owner_headers(poll))
    async with watched.socket, owners.socket:
        assert (await watched.until("snapshot"))["results"]["version"] == 0
        await api.change(poll, results_visibility=visibility)
        await api.vote(poll, 2, voter="b")
        while (await owners.until("results"))["version"] != 1:
            pass
        await watched.take_all()
    later = watched.frames[1:]
    assert [frame for frame in later if frame["type"] == "results" and frame["version"] > 0] == []
    assert later[0]["poll"]["results_visibility"] == visibility


async def test_below_min_voters_the_owners_socket_has_no_numbers_either(api: PollApi) -> None:
    poll = await api.create(min_voters=2)
    watched = Watched(poll, owner_headers(poll))
    async with watched.socket:
        snapshot = await watched.until("snapshot")
        assert snapshot["results"]["counts"] is None
        await api.vote(poll, 1, voter="a")
        withheld = await watched.until("results")
        assert (withheld["withheld"], withheld["counts"], withheld["votes"]) == (True, None, None)
        await api.vote(poll, 2, voter="b")
        shown = await watched.until("results")
        assert (shown["withheld"], shown["counts"]) == (False, {"1": 1, "2": 1, "3": 0})


async def test_a_new_owner_key_ends_what_the_old_one_shows(api: PollApi) -> None:
    """Also on the sockets that it has opened."""
    poll = await api.create(results_visibility="owner")
    old = Watched(poll, owner_headers(poll))
    async with old.socket:
        assert (await old.until("snapshot"))["results"]["version"] == 0
        rotated = await api.http.post(
            f"/api/v1/polls/{poll['id']}/rotate-key/", headers=owner_headers(poll)
        )
        await old.until("poll")
        new = Watched(poll, {"Authorization": f"Bearer {rotated.json()['owner_key']}"})
        async with new.socket:
            await new.until("snapshot")
            await api.vote(poll, 1, voter="a")
            assert (await new.until("results"))["version"] == 1
        old.socket.send({"type": "identify", "owner_key": poll["owner_key"]})
        await old.take_all()
    assert "results" not in [frame["type"] for frame in old.frames]


async def test_an_account_sees_its_own_hidden_results(api: PollApi) -> None:
    body = {"username": "olga", "password": "correct horse 7"}
    access = (await api.http.post("/api/v1/accounts/", json=body)).json()["access"]
    bearer = {"Authorization": f"Bearer {access}"}
    fields = {"question": "?", "options": ["A", "B"], "results_visibility": "owner"}
    poll = (await api.http.post("/api/v1/polls/", json=fields, headers=bearer)).json()
    watched, outsider = Watched(poll, bearer), Watched(poll)
    async with watched.socket, outsider.socket:
        assert (await watched.until("snapshot"))["results"]["version"] == 0
        assert (await outsider.until("snapshot"))["results"] is None
        await api.vote(poll, 1, voter="a")
        assert (await watched.until("results"))["version"] == 1
