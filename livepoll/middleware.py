"""For every request that Django handles: paths work with and without their trailing slash, never by
redirecting a POST; what the API says to a caller is kept by no cache.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.urls import is_valid_path
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from polls.http.response import PERSONAL, VARIES_BY_CALLER


@sync_and_async_middleware
def optional_trailing_slash(get_response: Callable[[HttpRequest], Any]) -> Any:
    def fit_slash(request: HttpRequest) -> None:
        path = request.path_info
        if is_valid_path(path):
            return
        if path.endswith("/"):
            if is_valid_path(path[:-1]):
                request.path_info, request.path = path[:-1], request.path[:-1]
        elif is_valid_path(f"{path}/"):
            request.path_info, request.path = f"{path}/", f"{request.path}/"

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
