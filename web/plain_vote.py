"""Votes by the vote page's form as it stands, where no script runs: a `POST` to the page.

The same vote as by the API: the voter token is the cookie that the page has set, so a double click
is one vote. Only our own page may send it.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext

from polls import draining, errors
from polls.api.requests import whole_number
from polls.http.attempts import current_attempts
from polls.http.caller import address_of, read_caller
from polls.http.voter_cookie import voter_cookie
from polls.models import Poll
from polls.rules.credentials import Credential
from polls.rules.poll import VoterPolicy
from polls.voting.ballot_box import ballot_box
from polls.voting.vote import Cast, Outcome
from web.script_texts import choices_hint, problem_text, script_text

_RATING = re.compile(r"rating-(\d{1,6})")
_RANK = re.compile(r"rank-(\d{1,6})")
_AGAIN_CHARACTERS = 40
_FORM = "application/x-www-form-urlencoded"


class Result(NamedTuple):
    """What the page says of the vote: it is counted, or (`is_counted` False) why it is not.

    `needs_cookie`: the browser came without a voter token of ours, and is to get one.
    """

    status: int
    text: str
    is_counted: bool = False
    needs_cookie: bool = False


class _Unclear(errors.Malformed):
    """A form that cannot be read as one ballot; the detail is in the page's language."""


def cast_by_form(request: HttpRequest, poll: Poll) -> Result:
    """Take the vote in a form.

    Raises:
        OriginNotAllowed: it does not come from a page of ours.
        RateLimited: too many voter codes were tried.
    """
    _check_sender(request)
    try:
        outcome = _cast(request, poll)
    except errors.InvalidCookie as error:
        return _refused(error, poll, needs_cookie=True)
    except errors.PollError as error:
        return _refused(error, poll)
    if outcome is None:
        text = gettext("This browser sent no cookie. Allow cookies for this site, then vote again.")
        return Result(400, text, needs_cookie=True)
    if outcome.error is None:
        return Result(200, script_text("Your vote is counted."), is_counted=True)
    if outcome.vote is not None:
        text = script_text("You had voted before. That vote stands, the new one was not counted.")
        return Result(outcome.error.status, text)
    return _refused(outcome.error, poll)


def _refused(error: errors.PollError, poll: Poll, *, needs_cookie: bool = False) -> Result:
    counted = current_attempts.get().count_now(error, poll=str(poll.id))
    if isinstance(counted, errors.RateLimited):
        raise counted
    return Result(error.status, _text_of(error, poll), needs_cookie=needs_cookie)


def _cast(request: HttpRequest, poll: Poll) -> Outcome | None:
    """None: the browser keeps no cookie."""
    if draining.is_draining():
        raise errors.Overloaded(retry_after=draining.RETRY_AFTER_SECONDS)
    caller = read_caller(
        authorization="", voter_cookie=voter_cookie(request.COOKIES), address=address_of(request)
    )
    if caller.device is None:
        return None
    form = _form_of(request)
    body = ballot_of(form)
    voter_code = form.get("voter_code", "").strip()
    if voter_code:
        current_attempts.get().check_now(Credential.VOTER_CODE, poll=str(poll.id))
    key = ""
    if poll.voter_policy == VoterPolicy.OPEN:  # each request would be a voter: here a page is one
        key = f"{caller.device}.{request.GET.get('again', '')[:_AGAIN_CHARACTERS]}"
    identity = caller.identity(idempotency_key=key, voter_code=voter_code or None)
    return ballot_box.ask_sync(Cast(poll.id, identity, body))


def _form_of(request: HttpRequest) -> QueryDict:
    """The fields of a form as our page sends it.

    Raises:
        UnsupportedMediaType, Malformed
    """
    if request.content_type not in (_FORM, ""):  # others have what our form has not, as files
        raise errors.UnsupportedMediaType(f"A form is sent as {_FORM}.")
    try:
        return request.POST
    except (BadRequest, SuspiciousOperation) as error:  # its character set, too many fields
        raise errors.Malformed("The form cannot be read.") from error


def ballot_of(form: QueryDict) -> Mapping[str, Any]:
    """The ballot as the API takes it, by the names of fields in the kinds' templates.

    Raises:
        PollError: two options have one place in a ranking.
    """
    given = {name: str(value) for name, value in form.items()}
    ratings = {
        match[1]: _number(value)
        for name, value in given.items()
        if (match := _RATING.fullmatch(name))
    }
    if ratings:
        return {"ratings": ratings}
    ranks = [
        (_number(value), int(match[1]))
        for name, value in given.items()
        if value and (match := _RANK.fullmatch(name))
    ]
    if len({place for place, _ in ranks}) < len(ranks):
        raise _Unclear(gettext("Give each option a number of its own."))
    choices = [option for _, option in sorted(ranks)] or [
        _number(one) for one in form.getlist("choice")
    ]
    return {"choices": choices}


def _number(text: str) -> int:
    return whole_number(text, 999_999) or 0  # which is no option


def _check_sender(request: HttpRequest) -> None:
    """A browser says where a form comes from. `livepoll.request_guard` has compared an Origin, but
    takes none, and those that may use the API: their forms bring no cookie of ours.

    Raises:
        OriginNotAllowed
    """
    headers = request.headers
    host = headers.get("Origin", "").partition("://")[2]
    if headers.get("Sec-Fetch-Site") != "same-origin" and host != headers.get("Host"):
        raise errors.OriginNotAllowed


def _text_of(error: errors.PollError, poll: Poll) -> str:
    if isinstance(error, errors.TooFewChoices | errors.TooManyChoices):
        return choices_hint(poll.min_choices, poll.max_choices)
    if isinstance(error, errors.VoterRequired) and poll.voter_policy == VoterPolicy.CODE:
        return script_text("Enter the voter code you were given.")
    return problem_text(error.code, error.detail)
