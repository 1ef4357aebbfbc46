"""Paths work with and without their trailing slash, and never by redirecting a POST."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.urls import is_valid_path
from django.utils.decorators import sync_and_async_middleware


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
