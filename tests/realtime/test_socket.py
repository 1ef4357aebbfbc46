"""/ws/polls/{id}/ as a client sees it: frames, close codes, origins, and who sees what."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.poll_api import Json, PollApi
from tests.realtime.asgi_socket import AsgiSocket

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def watch(poll: Json, headers: Mapping[str, str] | None = None) -> AsgiSocket:
    return AsgiSocket(f"/ws/polls/{poll['id']}/", headers)


def without_owner_key(poll: Json) -> Json:
    return {name: value for name, value in poll.items() if name != "owner_key"}


# Frames


async def test_the_snapshot_is_the_poll_and_its_results_as_rest_shows_them(api: PollApi) -> None:
    poll = await api.create()
    await api.vote(poll, 2, voter="ann")
    async with watch(poll) as socket:
        snapshot = await socket.next_of("snapshot")
    results = await api.results(poll)
    assert snapshot["results"].pop("as_of") <= results.pop("as_of")
    assert set(snapshot) == {"type", "poll", "results", "server_time", "watching"}
    assert snapshot["poll"] == without_owner_key(poll) | {"version": 1}
    assert snapshot["results"] == results
    assert results["counts"] == {"1": 0, "2": 1, "3": 0}
    assert TIME.fullmatch(snapshot["server_time"])


async def test_a_vote_brings_the_whole_tally(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        await api.vote(poll, 3, voter="ann")
        assert await socket.next_of("results") == {
            "type": "results",
            "poll": poll["id"],
            "epoch": 1,
            "version": 1,
            "status": "open",
            "final": False,
            "voters": 1,
            "votes": 1,
            "counts": {"1": 0, "2": 0, "3": 1},
            "watching": 1,
        }


async def test_many_votes_skip_versions_but_the_last_arrives(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        for number in range(30):
            await api.vote(poll, 1 + number % 3, voter=f"voter {number}")
        frame = await socket.results_at(30)
        assert frame["counts"] == {"1": 10, "2": 10, "3": 10}


async def test_a_refused_and_a_repeated_vote_bring_nothing(api: PollApi) -> None:
    poll = await api.create()
    await api.vote(poll, 1, voter="ann")
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        assert (await api.send_vote(poll, 1, voter="ann")).status_code == 200
        assert (await api.send_vote(poll, 2, voter="ann")).status_code == 409
        await socket.nothing_before_pong()


async def test_the_join_code_in_any_case_opens_the_same_poll(api: PollApi) -> None:
    poll = await api.create()
    for ref in (poll["code"], poll["code"].lower(), poll["id"].upper()):
        async with AsgiSocket(f"/ws/polls/{ref}/") as socket:
            assert (await socket.next_of("snapshot"))["poll"]["id"] == poll["id"]
    async with AsgiSocket(f"/ws/polls/{poll['id']}") as socket:
        await socket.next_of("snapshot")


async def test_a_ping_is_answered_with_the_time(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        pong = await socket.answer_to({"type": "ping"})
        assert set(pong) == {"type", "server_time", "watching"}
        assert TIME.fullmatch(pong["server_time"])


async def test_snapshots_pongs_and_results_say_how_many_watch_and_nothing_is_sent_for_it_alone(
    api: PollApi,
) -> None:
    poll = await api.create(results_visibility="always")
    async with watch(poll) as first:
        assert (await first.next_of("snapshot"))["watching"] == 1
        async with watch(poll) as second:
            assert (await second.next_of("snapshot"))["watching"] == 2
            assert (await first.answer_to({"type": "ping"}))["watching"] == 2
            await api.vote(poll, 1, voter="ann")
            assert (await first.next_of("results"))["watching"] == 2
        await first.nothing_before_pong()
        assert (await first.answer_to({"type": "ping"}))["watching"] == 1


async def test_a_text_correction_is_sent(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        await api.change(poll, question="Which color?")
        assert (await socket.next_of("poll"))["poll"]["question"] == "Which color?"


async def test_pausing_and_opening_are_sent(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        for act, status in (("pause", "paused"), ("open", "open")):
            await api.act(poll, act)
            assert (await socket.next_of("poll"))["poll"]["status"] == status
            assert (await socket.next_of("results"))["status"] == status


async def test_a_close_is_sent_and_then_the_final_results(api: PollApi) -> None:
    poll = await api.create()
    await api.vote(poll, 2, voter="ann")
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        closed = await api.act(poll, "close")
        assert (await socket.next_of("poll"))["poll"] == closed
        final = await socket.next_of("results")
        assert final["final"] is True
        assert final["status"] == "closed"
        assert final["version"] == 1
        await api.act(poll, "close")
        await socket.nothing_before_pong()


async def test_the_clock_closes_a_poll_on_its_sockets(api: PollApi) -> None:
    at = datetime.now(UTC) + timedelta(seconds=0.5)
    poll = await api.create(closes_at=at.isoformat())
    async with watch(poll) as socket:
        assert (await socket.next_of("snapshot"))["poll"]["status"] == "open"
        assert (await socket.next_of("poll"))["poll"]["status"] == "closed"
        assert (await socket.next_of("results"))["final"] is True
    assert datetime.now(UTC) - at < timedelta(seconds=0.25)


async def test_the_clock_opens_a_poll_on_its_sockets(api: PollApi) -> None:
    at = datetime.now(UTC) + timedelta(seconds=0.5)
    poll = await api.create(opens_at=at.isoformat())
    async with watch(poll) as socket:
        assert (await socket.next_of("snapshot"))["poll"]["status"] == "scheduled"
        assert (await socket.next_of("poll"))["poll"]["status"] == "open"
    assert datetime.now(UTC) - at < timedelta(seconds=0.25)


async def test_a_reset_starts_a_new_epoch_at_nought(api: PollApi) -> None:
    poll = await api.create()
    await api.vote(poll, 2, voter="ann")
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        await api.act(poll, "reset")
        assert (await socket.next_of("poll"))["poll"]["epoch"] == 2
        empty = await socket.next_of("results")
        assert (empty["epoch"], empty["version"], empty["voters"]) == (2, 0, 0)
        await api.vote(poll, 2, voter="ann")
        again = await socket.next_of("results")
        assert (again["epoch"], again["version"]) == (2, 1)


async def test_a_deleted_poll_is_sent_and_the_socket_closed(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        await api.delete(poll)
        assert (await socket.next_of("poll"))["poll"]["status"] == "deleted"
        assert await socket.close_code() == 4404
    async with watch(poll) as socket:
        assert await socket.close_code() == 4404


# What is refused


@pytest.mark.parametrize(
    "ref", ["bb847431-34a1-42a9-96bb-fe4941ab37d5", "ZZZZZZ", "no-such-form", "0O1IL0", "%00"]
)
async def test_an_unknown_poll_is_closed_with_4404(api: PollApi, ref: str) -> None:
    async with AsgiSocket(f"/ws/polls/{ref}/") as socket:
        assert await socket.close_code() == 4404


@pytest.mark.parametrize("path", ["/ws/", "/ws/polls/", "/", "/ws/polls/a/b/"])
async def test_a_path_without_a_socket_is_closed_with_4404(api: PollApi, path: str) -> None:
    async with AsgiSocket(path) as socket:
        assert await socket.close_code() == 4404


MALFORMED = {
    "no JSON": "{ping}",
    "no object": '["ping"]',
    "a word": '"ping"',
    "a number": "1e999",
    "empty": "",
    "no type": "{}",
    "an unknown type": '{"type": "vote"}',
    "a type that is no text": '{"type": ["ping"]}',
    "too large": '{"type": "ping", "x": "' + "x" * 4096 + '"}',
    "too large in bytes": '{"type": "ping", "x": "' + "ü" * 2100 + '"}',
    "an identify without anything": '{"type": "identify"}',
    "an identify with a number": '{"type": "identify", "voter_token": 7}',
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_frame_is_answered_as_such(api: PollApi, text: str) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        socket.send_text(text)
        assert (await socket.next_of("error"))["code"] == "malformed"
        await socket.nothing_before_pong()


async def test_a_binary_frame_is_malformed(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        socket.send_bytes(b'{"type": "ping"}')
        assert (await socket.next_of("error"))["code"] == "malformed"


async def test_malformed_frames_again_and_again_close_the_socket(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        for _ in range(10):
            socket.send_text("?")
        for _ in range(5):
            assert (await socket.next_of("error"))["code"] == "malformed"
        assert await socket.close_code() == 4400


# Origins


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://testserver"},
        {"Origin": "https://testserver"},
        {"Origin": "https://pages.example"},
    ],
    ids=["none", "our own", "our own behind TLS", "an allowed one"],
)
async def test_these_origins_may_watch(
    api: PollApi, settings: Any, headers: dict[str, str]
) -> None:
    settings.ALLOWED_ORIGINS = ["https://pages.example"]
    poll = await api.create()
    async with watch(poll, headers) as socket:
        await socket.next_of("snapshot")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://testserver.evil.example", "http://testserver:8080",
     "http://pages.example", "null", "testserver"],
)  # fmt: skip
async def test_other_origins_may_not(api: PollApi, settings: Any, origin: str) -> None:
    settings.ALLOWED_ORIGINS = ["https://pages.example"]
    poll = await api.create()
    labels = {"event": "origin_refused", "detail": "origin"}
    before = REGISTRY.get_sample_value("livepoll_security_events_total", labels) or 0
    async with watch(poll, {"Origin": origin}) as socket:
        assert await socket.close_code() == 4403
    assert REGISTRY.get_sample_value("livepoll_security_events_total", labels) == before + 1


async def test_a_host_that_is_not_ours_is_refused_with_any_origin(api: PollApi) -> None:
    poll = await api.create()
    headers = {"Host": "rebound.example", "Origin": "http://rebound.example"}
    async with watch(poll, headers) as socket:
        assert await socket.close_code() == 4403


# Hidden results


async def test_after_vote_shows_results_to_who_has_voted_and_to_nobody_else(api: PollApi) -> None:
    poll = await api.create(results_visibility="after_vote")
    token = (await api.vote(poll, 1, voter="ann"))["voter_token"]
    cookie = {"Cookie": f"voter={token}"}
    async with watch(poll) as stranger, watch(poll, cookie) as voter:
        assert (await stranger.next_of("snapshot"))["results"] is None
        assert (await voter.next_of("snapshot"))["results"]["version"] == 1
        await api.vote(poll, 2, voter="ben")
        assert (await voter.next_of("results"))["version"] == 2
        await stranger.nothing_before_pong()


async def test_identify_after_the_vote_opens_the_results(api: PollApi) -> None:
    poll = await api.create(results_visibility="after_vote")
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        token = (await api.vote(poll, 1, voter="ann"))["voter_token"]
        await socket.nothing_before_pong()
        shown = await socket.answer_to({"type": "identify", "voter_token": token})
        assert (shown["type"], shown["version"]) == ("results", 1)
        await api.vote(poll, 2, voter="ben")
        assert (await socket.next_of("results"))["version"] == 2


async def test_identify_by_account_opens_the_results_to_its_voter_and_to_its_owner(
    api: PollApi,
) -> None:
    tokens = {}
    for name in ("ola", "vera"):
        account = {"username": name, "password": "correct horse 7"}
        made = await api.http.post("/api/v1/accounts/", json=account)
        tokens[name] = {"Authorization": f"Bearer {made.json()['access']}"}
    rules = {"voter_policy": "account", "results_visibility": "after_vote"}
    body = {"question": "Which?", "options": ["A", "B"], **rules}
    poll = (await api.http.post("/api/v1/polls/", json=body, headers=tokens["ola"])).json()
    votes = f"/api/v1/polls/{poll['id']}/votes/"
    await api.http.post(votes, json={"choices": [1]}, headers=tokens["vera"])
    for name, headers in tokens.items():
        access = headers["Authorization"].removeprefix("Bearer ")
        async with watch(poll) as socket:
            assert (await socket.next_of("snapshot"))["results"] is None
            shown = await socket.answer_to({"type": "identify", "access_token": access})
            assert (name, shown["type"], shown["version"]) == (name, "results", 1)


async def test_identify_of_one_who_has_not_voted_opens_nothing(api: PollApi) -> None:
    poll, other = [await api.create(results_visibility="after_vote") for _ in range(2)]
    token = (await api.vote(other, 1, voter="ann"))["voter_token"]
    await api.vote(poll, 1, voter="ben")
    async with watch(poll, {"Cookie": f"voter={token}"}) as socket:
        assert (await socket.next_of("snapshot"))["results"] is None
        socket.send({"type": "identify", "voter_token": token})
        await socket.nothing_before_pong()


async def test_a_forged_token_is_an_error_and_opens_nothing(api: PollApi) -> None:
    poll = await api.create(results_visibility="after_vote")
    token = (await api.vote(poll, 1, voter="ann"))["voter_token"]
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    async with watch(poll, {"Cookie": f"voter={forged}"}) as socket:
        assert (await socket.next_of("snapshot"))["results"] is None
        answer = await socket.answer_to({"type": "identify", "voter_token": forged})
        assert (answer["type"], answer["code"]) == ("error", "invalid_token")
        await socket.nothing_before_pong()


async def test_a_vote_before_a_reset_opens_nothing_after_it(api: PollApi) -> None:
    poll = await api.create(results_visibility="after_vote")
    token = (await api.vote(poll, 1, voter="ann"))["voter_token"]
    async with watch(poll, {"Cookie": f"voter={token}"}) as socket:
        assert (await socket.next_of("snapshot"))["results"] is not None
        await api.act(poll, "reset")
        await socket.next_of("poll")
        await api.vote(poll, 2, voter="ben")
        socket.send({"type": "identify", "voter_token": token})
        await socket.nothing_before_pong()


async def test_after_close_shows_the_final_results_to_all_at_the_close(api: PollApi) -> None:
    poll = await api.create(results_visibility="after_close")
    token = (await api.vote(poll, 1, voter="ann"))["voter_token"]
    async with watch(poll, {"Cookie": f"voter={token}"}) as socket:
        assert (await socket.next_of("snapshot"))["results"] is None
        await api.vote(poll, 2, voter="ben")
        await socket.nothing_before_pong()
        await api.act(poll, "close")
        await socket.next_of("poll")
        final = await socket.next_of("results")
        assert (final["final"], final["version"]) == (True, 2)


async def test_owner_shows_results_to_the_owner_only(api: PollApi) -> None:
    poll = await api.create(results_visibility="owner")
    token = (await api.vote(poll, 1, voter="ann"))["voter_token"]
    bearer = {"Authorization": f"Bearer {poll['owner_key']}"}
    async with watch(poll, bearer) as owner, watch(poll, {"Cookie": f"voter={token}"}) as voter:
        assert (await owner.next_of("snapshot"))["results"]["version"] == 1
        assert (await voter.next_of("snapshot"))["results"] is None
        await api.vote(poll, 2, voter="ben")
        assert (await owner.next_of("results"))["version"] == 2
        await api.act(poll, "close")
        await voter.next_of("poll")
        await voter.nothing_before_pong()
        voter.send({"type": "identify", "owner_key": "owner_" + "x" * 32})
        await voter.nothing_before_pong()
        shown = await voter.answer_to({"type": "identify", "owner_key": poll["owner_key"]})
        assert shown["version"] == 2


async def test_hiding_and_showing_results_reaches_sockets_that_are_open(api: PollApi) -> None:
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        await api.change(poll, results_visibility="owner")
        assert (await socket.next_of("poll"))["poll"]["results_visibility"] == "owner"
        await api.vote(poll, 1, voter="ann")
        await socket.nothing_before_pong()
        await api.change(poll, results_visibility="always")
        await socket.next_of("poll")
        assert (await socket.next_of("results"))["version"] == 1


# Leaving


async def test_a_socket_that_leaves_is_forgotten(api: PollApi) -> None:
    from realtime.hub import running_hub

    poll = await api.create()
    async with watch(poll) as first, watch(poll) as second:
        await first.next_of("snapshot")
        await second.next_of("snapshot")
        assert running_hub().watchers == 2
    assert running_hub().watchers == 0


async def test_a_client_that_disappears_in_the_middle_is_forgotten(
    api: PollApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realtime.consumers import PollConsumer
    from realtime.hub import running_hub

    async def break_down(self: PollConsumer, message: Json) -> None:
        raise ConnectionResetError

    poll = await api.create()
    monkeypatch.setattr(PollConsumer, "websocket_disconnect", break_down)
    with pytest.raises(ConnectionResetError):
        async with watch(poll) as socket:
            await socket.next_of("snapshot")
    assert running_hub().watchers == 0


# Too much


async def test_a_server_that_is_full_says_so_and_takes_the_next_when_one_leaves(
    api: PollApi, settings: Any
) -> None:
    settings.RATE_LIMITS, settings.MAX_SOCKETS = True, 1
    poll = await api.create()
    async with watch(poll) as first:
        await first.next_of("snapshot")
        async with watch(poll) as second:
            assert await second.close_code() == 4429
    async with watch(poll) as third:
        await third.next_of("snapshot")


async def test_one_address_cannot_take_all_sockets(api: PollApi, settings: Any) -> None:
    settings.RATE_LIMITS, settings.MAX_SOCKETS_PER_ADDRESS = True, 1
    poll = await api.create()
    path = f"/ws/polls/{poll['id']}/"
    async with AsgiSocket(path, address="192.0.2.1") as first:
        await first.next_of("snapshot")
        async with AsgiSocket(path, address="192.0.2.1") as second:
            assert await second.close_code() == 4429
        async with AsgiSocket(path, address="192.0.2.2") as neighbour:
            await neighbour.next_of("snapshot")


async def test_a_flood_of_frames_closes_the_socket(api: PollApi, settings: Any) -> None:
    settings.RATE_LIMITS, settings.SOCKET_FRAMES_PER_SECOND = True, 5
    poll = await api.create()
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        for _ in range(20):
            socket.send({"type": "ping"})
        pongs, code = await socket.until_closed()
        assert len(pongs) <= 10  # those of two seconds, where the flood lay across the border
        assert code == 4429
