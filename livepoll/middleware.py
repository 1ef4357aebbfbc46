"""For every request that Django handles: paths work with and without their trailing slash, never by
redirecting a POST; what the API says to a caller is kept by no cache; and refusals by other views
than DRF's.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from livepoll.outage_page import response_in_outage
from livepoll.routes import route_of
from polls.errors import PollError
from polls.http.problems import problem_response
from polls.http.response import PERSONAL, VARIES_BY_CALLER

GetResponse = Callable[[HttpRequest], HttpResponse]

_CACHE_CONTROL = PERSONAL.decode()
_VARY = VARIES_BY_CALLER[1].decode().split(", ")


def optional_trailing_slash(get_response: GetResponse) -> GetResponse:
    def with_fitting_slash(request: HttpRequest) -> HttpResponse:
        route = route_of(request.path_info)
        if route is not None and route.path != request.path_info:
            request.path_info = route.path
            ends = route.path.endswith("/")
            request.path = f"{request.path}/" if ends else request.path[:-1]
        return get_response(request)

    return with_fitting_slash


def personal_responses(get_response: GetResponse) -> GetResponse:
    """Responses of the API are personal unless a view sets `Cache-Control` itself: nearly every one
    depends on a cookie or on `Authorization`."""

    def marked(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path_info.startswith("/api/v1/"):
            response.headers.setdefault("Cache-Control", _CACHE_CONTROL)
            patch_vary_headers(response, _VARY)
        return response

    return marked


class Refusals:
    """A refusal out of a page or the admin's sign-in; and 503, not 500, where the database fails a
    view."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        in_outage = response_in_outage(request, exception)
        if in_outage is None and isinstance(exception, PollError):
            return problem_response(exception)
        return in_outage
