"""404, 400, 403 and 500 outside of DRF: problem+json below /api/, a plain page elsewhere."""

import sys
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from livepoll.outage_page import response_in_outage
from polls import errors
from polls.http.problems import problem_response, wants_problem


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if wants_problem(request):
        detail = "This request cannot be read."
        if isinstance(exception, DisallowedHost):
            detail = "This server does not answer to that Host (setting ALLOWED_HOSTS)."
        return problem_response(errors.Malformed(detail))
    if isinstance(exception, DisallowedHost):
        return render(request, "livepoll/wrong_host.html", status=400)
    return defaults.bad_request(request, exception or Exception())


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if wants_problem(request):
        return problem_response(errors.OriginNotAllowed())
    return defaults.permission_denied(request, exception or Exception())


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if wants_problem(request):
        return problem_response(errors.NotFound())
    return defaults.page_not_found(request, exception or Exception())


def api_not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Catches every path below /api/ that is nothing, also in DEBUG."""
    return problem_response(errors.NotFound())


def server_error(request: HttpRequest) -> HttpResponse:
    in_outage = response_in_outage(request, sys.exc_info()[1])  # it came past the middleware
    if in_outage is not None:
        return in_outage
    if wants_problem(request):
        return problem_response(errors.ServerError())
    return defaults.server_error(request)
