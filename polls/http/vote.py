"""POST /api/v1/polls/{id}/votes/, a raw ASGI endpoint: reads the vote, waits for the ballot box.

Sends 2xx after COMMIT only. Touches no database itself; the request guard has checked the sender.
"""

import logging
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from polls import draining, errors
from polls.http.attempts import current_attempts
from polls.http.caller import Caller
from polls.http.problems import as_poll_error
from polls.http.request import Disconnected, Header, RawRequest, Receive, Send
from polls.http.response import refuse, respond, response_headers
from polls.http.voter_cookie import set_cookie
from polls.identity.owners import is_owner
from polls.identity.voters import Identity, device_in, token_of
from polls.refs import parse_ref
from polls.results.cache import with_as_of
from polls.results.reader import PollQuery, reader
from polls.results.results_json import results_of
from polls.rules.credentials import Credential
from polls.rules.deciding import Verdict
from polls.rules.kinds import kind_of
from polls.rules.limits import LIMITS
from polls.rules.poll import PollState, Visibility, may_see_results
from polls.rules.times import iso
from polls.voting.ballot_box import ballot_box
from polls.voting.vote import Cast, Outcome, StoredVote

logger = logging.getLogger(__name__)

_Response = tuple[int, bytes]  # status and body
_STATUS = {Verdict.ACCEPTED: 201, Verdict.REPEATED: 200, Verdict.REPLACED: 200}
# A batch's voters share its states; the results of each are encoded once. By the object's id,
# which no other object has while the entry holds it.
_made: dict[int, tuple[PollState, bytes]] = {}
_MOST_MADE = 100


async def cast_vote(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Take one vote: 201 stored, 200 repeated or replaced, else a problem."""
    request = RawRequest.of(scope)
    headers = response_headers(request)
    try:
        status, body = await _cast(request, receive, headers)
    except Disconnected:
        return
    except Exception as exc:
        await refuse(request, send, as_poll_error(exc), headers)
    else:
        await respond(send, status, body, headers, at_once=True)


async def _cast(request: RawRequest, receive: Receive, headers: list[Header]) -> _Response:
    """The token of a new device goes into `headers` before it votes: a client that must retry
    is then the same voter. An Idempotency-Key says so by itself; its token is the poll's own, and
    so known once the poll is."""
    if draining.is_draining():
        raise errors.Overloaded(
            "This process is stopping; try again.", retry_after=draining.RETRY_AFTER_SECONDS
        )
    body = await request.json_object(receive, LIMITS["vote_body_bytes"])
    caller = request.caller()
    parsed = parse_ref(request.poll_ref)
    if parsed is None:
        raise errors.PollNotFound
    voter_code = body.get("voter_code")
    if voter_code is not None and not isinstance(voter_code, str):
        raise errors.Malformed("“voter_code” must be a string.")
    if voter_code is not None:
        await current_attempts.get().check(Credential.VOTER_CODE, poll=request.poll_ref)
    identity = caller.identity(
        idempotency_key=request.header(b"idempotency-key"), voter_code=voter_code
    )
    voter = _Voter(caller, identity, request.is_secure, headers)
    response_to = partial(_response_to, voter)
    response: _Response | Outcome = await ballot_box.cast(Cast(parsed, identity, body), response_to)
    if isinstance(response, Outcome):
        assert response.state is not None
        response = response_to(response, await _counted_results(response.state))
    assert not isinstance(response, Outcome)
    return response


class _Voter:
    """Who waits for a response, and the voter token that goes with it.

    `token` is None while it is not known: see `_cast`. One that the client did not bring is set as
    its cookie, in `headers`.
    """

    __slots__ = ("_headers", "_identity", "_is_secure", "caller", "token")

    def __init__(
        self, caller: Caller, identity: Identity, is_secure: bool, headers: list[Header]
    ) -> None:
        self.caller = caller
        self.token = caller.token
        self._identity, self._is_secure, self._headers = identity, is_secure, headers
        if not self.token and identity.device:
            self._mint(identity.device)

    def take_poll(self, state: PollState) -> None:
        """The poll is known now."""
        if self.token is None:
            self._mint(device_in(state, self._identity))

    def _mint(self, device: str) -> None:
        self.token = token_of(device)
        self._headers.append((b"set-cookie", set_cookie(self.token, is_secure=self._is_secure)))


def _response_to(
    voter: _Voter, outcome: Outcome, counted_results: bytes | None = None
) -> _Response | Outcome:
    """What the voter gets; the outcome itself where `counted_results` are needed and missing.

    Raises:
        PollError: why the vote was refused.
    """
    if outcome.state is not None:
        voter.take_poll(outcome.state)
    if outcome.error is not None:
        raise _with_recorded_vote(outcome)
    assert outcome.vote is not None
    assert outcome.state is not None
    assert outcome.decided_at is not None
    assert voter.token is not None
    results = counted_results or _results_for(outcome.state, outcome.decided_at, voter.caller)
    if results is None:
        return outcome
    vote = orjson.dumps(vote_object(outcome.vote, outcome.state.kind))
    return (
        _STATUS[outcome.verdict],
        b'{"vote":%b,"voter_token":"%b","results":%b}' % (vote, voter.token.encode(), results),
    )


def _with_recorded_vote(outcome: Outcome) -> errors.PollError:
    assert outcome.error is not None
    if outcome.vote is not None:
        assert outcome.state is not None
        outcome.error.extra["vote"] = vote_object(outcome.vote, outcome.state.kind)
    return outcome.error


def vote_object(vote: StoredVote, kind: str) -> dict[str, Any]:
    """A recorded vote of a poll of this kind as its voter sees it."""
    assert vote.marks is not None
    return {
        "poll": vote.poll_id,
        **kind_of(kind).marks_json(vote.marks),
        "seq": vote.seq,
        "epoch": vote.epoch,
        "cast_at": iso(vote.cast_at),
    }


def _results_for(state: PollState, now: datetime, caller: Caller) -> bytes | None:
    """The results that go with a vote's response, as JSON: `null` for a voter who may not see
    them, None where they must be counted first."""
    made = _made.get(id(state))
    if made is not None and state.results_visibility == Visibility.ALWAYS:
        return made[1]
    status = state.status_at(now)
    if state.results_visibility != Visibility.ALWAYS:
        owner = is_owner(state, key=caller.owner_key, account_id=caller.account_id)
        if not may_see_results(state, status, is_owner=owner, has_voted=True):
            return b"null"
    if kind_of(state.kind).needs_ballots:
        return None
    if made is None:
        if len(_made) >= _MOST_MADE:
            _made.clear()
        results = with_as_of(orjson.dumps(results_of(state, status, None)), now)
        made = _made[id(state)] = state, results
    return made[1]


async def _counted_results(state: PollState) -> bytes:
    """The results of a kind that needs ballots, which other processes may have recorded."""
    try:
        reading = await reader.read(PollQuery(state.id, results=True))
    except Exception:  # the vote is committed: nothing after that may refuse it
        logger.exception("the results that go with a vote cannot be read")
        return b"null"
    assert reading.results is not None
    return with_as_of(reading.results, datetime.now(UTC))
