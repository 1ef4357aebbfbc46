"""A request id in every response and every log line of a request. It holds no personal data."""

import logging
import secrets
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import count
from typing import Any

from django.conf import settings

SCOPE_KEY = "livepoll.request_id"

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")


# Unlike every other process's, and a number that costs no random bits a request.
_process = secrets.token_hex(4)
_numbers = count(0x1000)


def new_request_id() -> str:
    """The id of a request, from here on in its log lines too."""
    request_id = f"{_process}{next(_numbers):x}"
    current_request_id.set(request_id)
    return request_id


def with_request_ids(application: Application) -> Application:
    """Wrap an HTTP application."""
    static_url = settings.STATIC_URL

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"].startswith(static_url):  # nothing to trace in a file
            await application(scope, receive, send)
            return
        request_id = scope[SCOPE_KEY] = new_request_id()

        async def send_with_id(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await application(scope, receive, send_with_id)

    return wrapped


class RequestIdFilter(logging.Filter):
    """Puts `request_id` on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id.get()
        return True
