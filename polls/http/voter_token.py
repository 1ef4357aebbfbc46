"""POST /api/v1/voters/, a raw ASGI endpoint: a new voter token, in the body or as a cookie.

Pages ask for it before a first vote, all of a hall at once, so it touches neither Django's request
handler nor the database.
"""

from typing import Any

import orjson

from polls import errors
from polls.http.problems import as_poll_error
from polls.http.request import Disconnected, RawRequest, Receive, Send
from polls.http.response import refuse, respond, response_headers
from polls.http.voter_cookie import set_cookie
from polls.identity.voters import mint_device, token_of
from polls.rules.limits import LIMITS


async def mint_voter_token(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """201 with a new token; or, asked for `{"cookie": true}`, 204 and the voter cookie.

    The cookie gets the token that the request brought, in `Authorization: Voter` or in a cookie,
    so that a browser that is a voter stays the same one; a new token only if it brought none.
    """
    request = RawRequest.of(scope)
    headers = response_headers(request)
    try:
        as_cookie = await _wants_cookie(request, receive)
        token = request.caller().token if as_cookie else None
    except Disconnected:
        return
    except Exception as exc:
        await refuse(request, send, as_poll_error(exc), headers)
        return
    token = token or token_of(mint_device())
    if as_cookie:
        headers.append((b"set-cookie", set_cookie(token, is_secure=request.is_secure)))
        await respond(send, 204, b"", headers)
    else:
        await respond(send, 201, orjson.dumps({"voter_token": token}), headers)


async def _wants_cookie(request: RawRequest, receive: Receive) -> bool:
    if not request.declared_length() and b"transfer-encoding" not in request.headers:
        return False
    body = await request.json_object(receive, LIMITS["vote_body_bytes"])
    wanted = body.get("cookie", False)
    if not isinstance(wanted, bool):
        raise errors.Malformed("“cookie” must be true or false.")
    return wanted
