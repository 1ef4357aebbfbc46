"""GET /api/v1/polls/{ref}/results/, a raw ASGI endpoint: a tally never older than an acknowledged
vote.
"""

from datetime import UTC, datetime
from typing import Any

from polls import errors
from polls.http.caller import Caller
from polls.http.problems import as_poll_error
from polls.http.request import RawRequest, Receive, Send
from polls.http.response import (
    ASKED_FOR_ANEW,
    PERSONAL,
    matches_tag,
    refuse,
    respond,
    response_headers,
)
from polls.identity.owners import is_owner
from polls.refs import parse_ref
from polls.results.cache import with_as_of
from polls.results.reader import PollQuery, Reading, reader
from polls.rules.credentials import Credential
from polls.rules.poll import Visibility, may_see_results


async def show_results(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Respond with the results, 304 where the client has them, or a problem."""
    request = RawRequest.of(scope)
    headers = response_headers(request)
    try:
        reading = await _read(request)
    except Exception as exc:
        await refuse(request, send, as_poll_error(exc), headers)
        return
    assert reading.results is not None
    assert reading.tag is not None
    tag = reading.tag
    headers.append((b"etag", tag))
    is_public = reading.state.results_visibility == Visibility.ALWAYS
    cache_control = ASKED_FOR_ANEW.encode() if is_public else PERSONAL
    if b"if-none-match" in request.headers and matches_tag(
        request.header(b"if-none-match"), tag.decode()
    ):
        await respond(send, 304, b"", headers, cache_control=cache_control)
        return
    await respond(
        send,
        200,
        with_as_of(reading.results, datetime.now(UTC)),
        headers,
        cache_control=cache_control,
    )


async def _read(request: RawRequest) -> Reading:
    request.check_host()
    caller = request.caller() if request.has_credentials else None
    parsed = parse_ref(request.poll_ref)
    if parsed is None:
        raise errors.PollNotFound
    reading = await reader.read(PollQuery(parsed, results=True))
    state = reading.state
    if state.results_visibility == Visibility.ALWAYS:
        return reading
    caller = caller or request.caller()
    owner = is_owner(state, key=caller.owner_key, account_id=caller.account_id)
    if not owner and state.results_visibility == Visibility.AFTER_VOTE:
        reading = await reader.read(
            PollQuery(
                parsed,
                results=True,
                identity=caller.known_identity(request.header(b"voter-code")),
            )
        )
    has_voted = reading.vote is not None
    if not may_see_results(reading.state, reading.status, is_owner=owner, has_voted=has_voted):
        raise hidden(caller, reading)
    return reading


def hidden(caller: Caller, reading: Reading) -> errors.ResultsHidden:
    """The refusal of results that this caller may not see, with what it presented in vain."""
    if caller.owner_key:
        return errors.ResultsHidden(missed=Credential.OWNER_KEY)
    return errors.ResultsHidden(missed=Credential.VOTER_CODE if reading.is_unknown_code else None)
