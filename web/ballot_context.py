"""What the templates of a poll's pages are filled with: its poll object, its ballot, its state."""

import secrets
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from polls import selectors
from polls.api.requests import base_url
from polls.models import Poll
from polls.poll_json import poll_object
from polls.rules.poll import Status, Visibility, VoterPolicy
from polls.selectors import PollDetails
from web.kinds import KINDS, Kind
from web.plain_vote import Result
from web.script_texts import script_text

_HUES = 8  # of the palette, as in js/bars.js
# Up to so many options, as `sizeOf` in js/bars.js has it.
_SIZES = ((5, "few"), (10, "some"), (24, "many"))
_LISTED = 5
_BARS_EACH = 3  # as in js/page_start.js
_SHOWS_NUMBERS = (Status.OPEN, Status.PAUSED, Status.CLOSED)
_STATES = {
    Status.DRAFT: ("early", "Not open yet", "This page opens by itself when voting starts."),
    Status.SCHEDULED: ("early", "Not open yet", "This page opens by itself when voting starts."),
    Status.PAUSED: (
        "paused", "Voting is paused.",
        "It goes on by itself on this page when the owner opens it again.",
    ),
    Status.CLOSED: ("closed", "This poll is closed.", ""),
}  # fmt: skip


def start_context(request: HttpRequest) -> dict[str, Any]:
    """Some open polls, newest first, each with the options that its small picture begins with."""
    listed = selectors.listed_polls(status=Status.OPEN).filter(kind__in=KINDS)
    newest = selectors.details_of(listed.order_by("-created_at", "-id")[:_LISTED])
    now = datetime.now(UTC)
    objects = [poll_object(details, base_url(request), now) for details in newest]
    open_polls = [
        {"object": shown, "leading": _options(details)[:_BARS_EACH] if _is_public(details) else []}
        for shown, details in zip(objects, newest, strict=True)
    ]
    return {"poll_objects": objects, "open_polls": open_polls}


def live_context(request: HttpRequest, poll: Poll) -> dict[str, Any]:
    """The poll object, and its options as bars without a figure."""
    details = selectors.details_of([poll])[0]
    now = datetime.now(UTC)
    shown = poll_object(details, base_url(request), now)
    del shown["version"]  # a vote must not make another page
    options = _options(details)
    expects_results = (
        _is_public(details) and shown["status"] in _SHOWS_NUMBERS and bool(details.options)
    )
    kind = KINDS.get(poll.kind)
    return {
        "poll_object": shown,
        "options": options,
        "size": next((name for most, name in _SIZES if len(options) <= most), "crowd"),
        "is_open": shown["status"] == Status.OPEN,
        "expects_results": expects_results,
        "steps": _steps(kind) if kind is not None and expects_results else "",
    }


def _steps(kind: Kind) -> str:
    """What the kind has above its bars, empty; nothing for most."""
    return mark_safe(render_to_string(kind.template, {"part": "steps"}).strip())  # noqa: S308


def _options(details: PollDetails) -> list[dict[str, Any]]:
    return [
        {"id": number, "text": text, "hue": (number - 1) % _HUES}
        for number, text in details.options
    ]


def _is_public(details: PollDetails) -> bool:
    """Whether every visitor will see the results."""
    state = details.state
    return state.results_visibility == Visibility.ALWAYS and not state.min_voters


def ballot_context(request: HttpRequest, poll: Poll, result: Result | None) -> dict[str, Any]:
    """The same, the ballot where votes are taken, and what became of a vote by the form."""
    context = live_context(request, poll)
    is_counted = result is not None and result.is_counted
    # Who may vote with an account has to sign in first, which needs the script.
    takes_votes = context["is_open"] and poll.voter_policy != VoterPolicy.ACCOUNT
    context["shows_ballot"] = takes_votes and not is_counted
    context["state"] = _state_card(Status(context["poll_object"]["status"]), result)
    context["error"] = "" if result is None or is_counted else result.text
    context["has_voted"] = is_counted
    if is_counted and poll.voter_policy == VoterPolicy.OPEN:
        context["again"] = secrets.token_hex(8)
    context["result"] = result
    return context


def _state_card(status: Status, result: Result | None) -> dict[str, Any]:
    """As `stateCard` of js/page_vote.js; nothing where the ballot says it."""
    if result is not None and result.is_counted:
        return {"kind": "counted", "title": result.text, "texts": []}
    kind, title, text = _STATES.get(status, ("", "", ""))
    texts = [script_text(text)] if text else []
    if result is not None and kind:
        texts.insert(0, result.text)
    return {"kind": kind, "title": script_text(title) if title else "", "texts": texts}
