"""Documentation that the server itself serves: error codes, the socket's protocol."""

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import yaml
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import BaseRenderer

import realtime
from polls.errors import all_errors
from polls.rules.kinds import KINDS

_ASYNCAPI = Path(realtime.__file__).parent / "asyncapi.yaml"

# Swagger UI writes style attributes; scripts come from our own host only.
_SWAGGER_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)


class OneAtATime(SchemaGenerator):
    """drf-spectacular loads its extensions on first use; two threads at once fail at that."""

    _lock = Lock()

    def get_schema(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return super().get_schema(*args, **kwargs)  # type: ignore[no-untyped-call]


class SchemaView(SpectacularAPIView):
    """The schema, made once a form: half a second of work that every client may ask for."""

    @extend_schema(exclude=True)
    def get(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer: type[BaseRenderer] = type(request.accepted_renderer)
        body = _schema_as(renderer, tuple(KINDS))  # type: ignore[arg-type] # a class is hashable
        response = HttpResponse(body, content_type=f"{renderer.media_type}; charset=utf-8")
        response["Content-Disposition"] = f'inline; filename="livepoll.{renderer.format}"'
        return response


@cache
def _schema_as(renderer: type[BaseRenderer], kinds: tuple[str, ...]) -> bytes:
    made = OneAtATime().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    body = renderer().render(made, renderer.media_type, {})
    return body.encode() if isinstance(body, str) else body


schema = SchemaView.as_view()

_swagger_view = SpectacularSwaggerSplitView.as_view(url_name="schema")


def swagger(request: HttpRequest) -> HttpResponse:
    """Swagger UI, its assets from this server, its script in a file of its own."""
    response = _swagger_view(request)
    response["Content-Security-Policy"] = _SWAGGER_POLICY
    return response


def error_list(request: HttpRequest) -> HttpResponse:
    """The page behind each problem's `type`: every error code in one table."""
    return render(request, "livepoll/errors.html", {"errors": all_errors()})


@cache
def _protocol() -> Any:
    """Read once: 60 ms."""
    return yaml.safe_load(_ASYNCAPI.read_text())


def live_protocol(request: HttpRequest) -> HttpResponse:
    """The socket's protocol for people; `asyncapi.yaml` is the same for machines."""
    protocol = _protocol()
    channel = protocol["channels"]["poll"]
    messages = [
        {"name": name, "by": by, **protocol["components"]["messages"][name]}
        for by, operation in (("server", "watch"), ("client", "say"))
        for name in (
            message["$ref"].rpartition("/")[2]
            for message in protocol["operations"][operation]["messages"]
        )
    ]
    context = {"info": protocol["info"], "channel": channel, "messages": messages}
    return render(request, "livepoll/live_protocol.html", context)


def asyncapi(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_ASYNCAPI.read_bytes(), content_type="application/yaml")
