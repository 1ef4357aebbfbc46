"""Results after voting, where several people are one voter: for the one who cast the vote."""

import pytest

from tests.poll_api import Json, PollApi, owner_headers
from tests.realtime.asgi_socket import AsgiSocket

ADDRESS = "127.0.0.1"  # where `api` comes from
SHARED = pytest.mark.parametrize("policy", ["code", "ip"])


async def a_vote(api: PollApi, policy: str) -> tuple[Json, str, str]:
    """A poll with one vote, the token that cast it, and the voter code."""
    poll = await api.create(voter_policy=policy, results_visibility="after_vote")
    path, code = f"/api/v1/polls/{poll['id']}/", ""
    if policy == "code":
        made = await api.http.post(
            f"{path}voter-codes/", json={"count": 1}, headers=owner_headers(poll)
        )
        code = made.json()["codes"][0]["code"]
    body = {"choices": [1]} | ({"voter_code": code} if code else {})
    vote = await api.http.post(f"{path}votes/", json=body)
    return poll, vote.json()["voter_token"], code


async def other_token(api: PollApi) -> str:
    token: str = (await api.http.post("/api/v1/voters/")).json()["voter_token"]
    return token


def watch(poll: Json, **headers: str) -> AsgiSocket:
    named = {name.replace("_", "-"): text for name, text in headers.items() if text}
    return AsgiSocket(f"/ws/polls/{poll['id']}/", named, address=ADDRESS)


@SHARED
@pytest.mark.parametrize("cookie", ["voter", "__Host-voter"])
async def test_the_snapshot_has_them_for_the_cookie_that_cast_the_vote(
    api: PollApi, policy: str, cookie: str
) -> None:
    poll, token, code = await a_vote(api, policy)
    mine = watch(poll, Cookie=f"{cookie}={token}", Voter_Code=code)
    theirs = watch(poll, Cookie=f"{cookie}={await other_token(api)}", Voter_Code=code)
    async with mine, theirs, watch(poll, Voter_Code=code) as none:
        assert (await mine.next_of("snapshot"))["results"]["version"] == 1
        assert (await theirs.next_of("snapshot"))["results"] is None
        assert (await none.next_of("snapshot"))["results"] is None


@SHARED
async def test_identify_without_the_token_opens_nothing(api: PollApi, policy: str) -> None:
    poll, token, code = await a_vote(api, policy)
    proofs = {"voter_code": code} if code else {}
    async with watch(poll) as socket:
        await socket.next_of("snapshot")
        for voter_token in (await other_token(api), None):
            given = proofs | ({"voter_token": voter_token} if voter_token else {})
            if given:
                socket.send({"type": "identify", **given})
            await socket.nothing_before_pong()
        shown = await socket.answer_to({"type": "identify", "voter_token": token, **proofs})
        assert (shown["type"], shown["version"]) == ("results", 1)


async def test_token_and_code_may_come_one_after_the_other(api: PollApi) -> None:
    poll, token, code = await a_vote(api, "code")
    for proofs in ([{"voter_token": token}, {"voter_code": code}],
                   [{"voter_code": code}, {"voter_token": token}]):  # fmt: skip
        async with watch(poll) as socket:
            await socket.next_of("snapshot")
            socket.send({"type": "identify", **proofs[0]})
            await socket.nothing_before_pong()
            shown = await socket.answer_to({"type": "identify", **proofs[1]})
            assert (shown["type"], shown["version"]) == ("results", 1)
