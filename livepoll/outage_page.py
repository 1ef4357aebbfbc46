"""What a browser gets while the server cannot: 503, and a page that comes back by itself.

No database, no session; made once a language. Its script asks /readyz, with jitter, and loads the
page again once that says 200. Below /api/ it is a problem like every other.
"""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override

from polls import errors
from polls.database.outages import is_outage
from polls.http.problems import as_poll_error, problem_response, wants_problem
from web.csp import policy


def outage_response(request: HttpRequest, error: errors.Overloaded) -> HttpResponse:
    """503 in the form that the client reads, with Retry-After."""
    if wants_problem(request):
        return problem_response(error)
    response = HttpResponse(_page(get_language_from_request(request)), status=503)
    response["Retry-After"] = str(error.retry_after)
    response["Cache-Control"] = "no-store"
    response["Content-Security-Policy"] = policy(request)
    response["X-Content-Type-Options"] = "nosniff"
    patch_vary_headers(response, ("Accept-Language", "Cookie"))
    return response


def response_in_outage(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """The same for an error that stands for an outage, else None."""
    if isinstance(error, errors.Overloaded):
        return outage_response(request, error)
    if isinstance(error, Exception) and is_outage(error):
        refusal = as_poll_error(error)
        assert isinstance(refusal, errors.Overloaded)
        return outage_response(request, refusal)
    return None


@cache
def _page(language: str) -> str:
    with override(language):
        context: dict[str, Any] = {"page": "outage"}
        return render_to_string("web/outage.html", context)
