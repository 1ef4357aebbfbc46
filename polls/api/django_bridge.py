"""The raw endpoints through Django's own handler, for servers and tests that come that way."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpResponse
from rest_framework.request import Request

from polls.http import request_ids
from polls.http.request import Receive, Send

Endpoint = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def respond_through(endpoint: Endpoint, request: Request) -> HttpResponse:
    """The response of `endpoint` to a Django request."""
    sent: list[dict[str, Any]] = []
    body = request._request.body

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async_to_sync(endpoint)(_scope_of(request), receive, send)
    start, content = sent
    response = HttpResponse(content["body"], status=start["status"])
    for header, encoded in start["headers"]:
        name, value = header.decode(), encoded.decode("latin-1")
        if name == "set-cookie":
            response.cookies.load(value)
        else:
            response[name] = (
                f"{response[name]}, {value}" if name == "vary" and name in response else value
            )
    return response


def _scope_of(request: Request) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode("latin-1"))
               for name, value in request.headers.items()]  # fmt: skip
    return {
        "path": request.path_info,
        "headers": headers,
        "scheme": request.scheme,
        "client": (request.META.get("REMOTE_ADDR", ""), 0),
        request_ids.SCOPE_KEY: request_ids.current_request_id.get(),
    }
