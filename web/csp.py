"""Content-Security-Policy for every document.

Promises that no inline script or style ever runs on our pages, that nothing is loaded from
another host, and that scripts connect to this server alone. A view that sets its own policy
keeps it. What is no page of ours (JSON, CSV, an image opened by itself) may do nothing.
"""

from collections.abc import Callable, Iterable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

NOTHING = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGES = ("text/html", "application/xhtml+xml")


def policy(
    request: HttpRequest, frame_ancestors: Iterable[str] = ("'self'",), *, style: str = ""
) -> str:
    """The policy as one header value; `frame_ancestors` may show the page in a frame.

    `style`: the hash of an inline style that a document made by the page has ('sha256-…').
    """
    return "; ".join(
        [
            "default-src 'self'",
            *([f"style-src 'self' {style}"] if style else []),
            "img-src 'self' data:",
            f"connect-src {' '.join(connect_sources(request))}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            f"frame-ancestors {' '.join(frame_ancestors)}",
        ]
    )


def connect_sources(request: HttpRequest) -> list[str]:
    """Our own origin, and its socket by name: not every browser's 'self' has ws: in it."""
    try:
        host = request.get_host()
    except DisallowedHost:
        return ["'self'"]
    # ws: covers wss: to the same host, where TLS ends at a proxy that no setting names.
    return ["'self'", f"{'wss' if request.is_secure() else 'ws'}://{host}"]


def embed_origins() -> list[str]:
    """Origins that may show any poll in a frame, besides our own."""
    return list(settings.ALLOWED_ORIGINS)


class ContentSecurityPolicy:
    """Middleware: adds the policy to responses that have none."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if "Content-Security-Policy" not in response.headers:
            is_page = response.get("Content-Type", "").startswith(_PAGES)
            response.headers["Content-Security-Policy"] = policy(request) if is_page else NOTHING
        return response
