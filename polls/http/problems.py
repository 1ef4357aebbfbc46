"""One shape for every refusal: RFC 9457 problem+json, on every endpoint."""

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions as drf

from polls import errors
from polls.database.outages import is_outage
from polls.http.attempts import current_attempts
from polls.http.voter_cookie import COOKIE_NAMES

logger = logging.getLogger(__name__)

AUTHENTICATE = "Voter, Bearer"
PROBLEM_CONTENT_TYPE = "application/problem+json"


def problem_of(error: errors.PollError) -> dict[str, Any]:
    """The body of a refusal."""
    problem: dict[str, Any] = {
        "type": f"/api/docs/errors/#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    if error.errors is not None:
        problem["errors"] = error.errors
    return problem | error.extra


def problem_response(error: errors.PollError) -> HttpResponse:
    response = JsonResponse(
        problem_of(error), status=error.status, content_type=PROBLEM_CONTENT_TYPE
    )
    response["Error-Code"] = error.code
    if error.status == 401:
        response["WWW-Authenticate"] = AUTHENTICATE
    for name, value in error.headers.items():
        response[name] = value
    if error.forgets_cookie:
        for name in COOKIE_NAMES:
            response.delete_cookie(name, samesite="Lax")
    return response


def problem_for_exception(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's exception handler: every exception becomes one of our errors."""
    error = as_poll_error(exc)
    if error.missed is not None:
        ref = (context.get("kwargs") or {}).get("ref", "")
        error = current_attempts.get().count_now(error, poll=ref)
    response = problem_response(error)
    view = context.get("view")
    if isinstance(error, errors.MethodNotAllowed) and view is not None:
        response["Allow"] = ", ".join(view.allowed_methods)
    return response


def as_poll_error(exc: Exception) -> errors.PollError:
    """The one of our errors that stands for `exc`; a bug of ours is logged with its trace."""
    match exc:
        case errors.PollError():
            return exc
        case drf.ValidationError():
            return errors.Invalid(errors=_flatten(exc.get_full_details()))
        case drf.ParseError():
            return errors.Malformed(str(exc.detail))
        case drf.NotFound() | Http404():
            return errors.NotFound()
        case drf.MethodNotAllowed():
            return errors.MethodNotAllowed(str(exc.detail))
        case drf.NotAcceptable():
            return errors.NotAcceptable()
        case drf.UnsupportedMediaType():
            return errors.UnsupportedMediaType()
        case RequestDataTooBig():
            return errors.TooLarge()
        case TooManyFieldsSent():
            return errors.Malformed("Too many fields.")
        case _ if is_outage(exc):
            logger.warning("the database is away: %s", exc)
            return errors.Overloaded("The database is away; try again.")
    logger.error("a request failed", exc_info=exc)
    return errors.ServerError()


def _flatten(details: Any, field: str = "") -> list[dict[str, str]]:
    """DRF's nested error details as a list of {field, code, detail}."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [{"field": field, "code": details["code"], "detail": str(details["message"])}]
    if isinstance(details, dict):
        pairs = [("" if name == "non_field_errors" else str(name), one)
                 for name, one in details.items()]  # fmt: skip
    else:
        is_list_of_items = any(isinstance(one, dict) and "code" not in one for one in details)
        pairs = [(str(place) if is_list_of_items else "", one)
                 for place, one in enumerate(details)]  # fmt: skip
    found = []
    for name, one in pairs:
        found.extend(_flatten(one, ".".join(part for part in (field, name) if part)))
    return found


def wants_problem(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
