"""For every request that Django handles: paths work with and without their trailing slash, never by
redirecting a POST; what the API says to a caller is kept by no cache.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

from livepoll.routes import route_of
from polls.errors import PollError
from polls.http.problems import problem_response
from polls.http.response import PERSONAL, VARIES_BY_CALLER


@sync_and_async_middleware
def optional_trailing_slash(get_response: Callable[[HttpRequest], Any]) -> Any:
    def fit_slash(request: HttpRequest) -> None:
        given = request.path_info
        route = route_of(given)
        if route is None or route.path == given:
            return
        request.path_info = route.path
        if route.path.endswith("/"):
            request.path = f"{request.path}/"
        else:
            request.path = request.path[:-1]

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            fit_slash(request)
            response: Awaitable[HttpResponse] = get_response(request)
            return await response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        fit_slash(request)
        response: HttpResponse = get_response(request)
        return response

    return synchronous


@sync_and_async_middleware
def personal_responses(get_response: Callable[[HttpRequest], Any]) -> Any:
    """Responses of the API are personal unless a view sets `Cache-Control` itself: nearly every one
    depends on a cookie or on `Authorization`."""

    def mark(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.path_info.startswith("/api/v1/"):
            if not response.has_header("Cache-Control"):
                response["Cache-Control"] = PERSONAL.decode()
            patch_vary_headers(response, VARIES_BY_CALLER[1].decode().split(", "))
        return response

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            return mark(request, await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        return mark(request, get_response(request))

    return synchronous


class Refusals(MiddlewareMixin):
    """A refusal out of a view that is not DRF's: a page, the admin's sign-in."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return problem_response(exception) if isinstance(exception, PollError) else None
