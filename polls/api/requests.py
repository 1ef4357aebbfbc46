"""Shared by the views: the caller, the poll of a path, the ownership check, poll responses."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response

from polls import errors, selectors
from polls.http.caller import caller_of
from polls.identity.owners import is_owner
from polls.models import Poll
from polls.poll_json import poll_object
from polls.refs import PollRef, parse_ref
from polls.rules.credentials import Credential
from polls.security_events import Event, poll_target, report
from polls.selectors import PollDetails


def base_url(request: Request | HttpRequest) -> str:
    return f"{request.scheme}://{request.get_host()}"


def ref_of(text: str) -> PollRef:
    parsed = parse_ref(text)
    if parsed is None:
        raise errors.PollNotFound
    return parsed


def owned_poll(request: Request, ref: str) -> Poll:
    """The poll, for its owner.

    Raises:
        PollNotFound, OwnerRequired, NotOwner, InvalidToken
    """
    poll = selectors.get_poll(ref)
    caller = caller_of(request)
    account_id = account_of_caller(request)
    if is_owner(selectors.state_of(poll), key=caller.owner_key, account_id=account_id):
        _report_act(request, poll, caller.address)
        return poll
    if caller.owner_key:
        detail = "This is not the owner key of this poll."
        raise errors.NotOwner(detail, missed=Credential.OWNER_KEY)
    if account_id is not None:
        raise errors.NotOwner("This account does not own this poll.")
    raise errors.OwnerRequired


def _report_act(request: Request, poll: Poll, address: str) -> None:
    match = request.resolver_match
    act = match.url_name if match is not None else None
    report(
        Event.OWNER_ACTED,
        f"{request.method} {act}",
        address=address,
        target=poll_target(poll.id),
    )


def shown(request: Request, poll: Poll | PollDetails) -> dict[str, Any]:
    """The poll as this client sees it.

    Raises:
        PollNotFound: it was deleted meanwhile.
    """
    details = [poll] if isinstance(poll, PollDetails) else selectors.details_of([poll])
    if not details:
        raise errors.PollNotFound
    return poll_object(details[0], base_url(request), datetime.now(UTC))


def whole_number(text: str, most: int) -> int | None:
    """A number from 0 to `most` in plain digits, no more of them than `most` has; else None.

    `int` alone takes other scripts' digits, and as many of them as a client likes to send.
    """
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    return int(text) if is_number and int(text) <= most else None


def account_of_caller(request: Request) -> int | None:
    """The account that acts, where one does and still exists.

    Raises:
        StaleToken: the token's account is gone.
    """
    account_id = caller_of(request).account_id
    if account_id is not None and not User.objects.filter(pk=account_id, is_active=True).exists():
        raise errors.StaleToken
    return account_id


def created_response(request: Request, poll: Poll | PollDetails, owner_key: str | None) -> Response:
    """201 with the poll, and the owner key this once."""
    body = shown(request, poll)
    if owner_key is not None:
        body["owner_key"] = owner_key
    return Response(body, status=201, headers={"Location": body["links"]["self"]})
