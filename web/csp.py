"""Content-Security-Policy for every HTML page.

Promises that no inline script or style ever runs on our pages, and that nothing is
loaded from another host. A view that sets its own policy keeps it; the API's
documentation brings its own scripts and is left alone.
"""

from collections.abc import Callable, Iterable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

EXEMPT_PREFIXES = ("/api/",)


def policy(frame_ancestors: Iterable[str] = ("'self'",)) -> str:
    """The policy as one header value; `frame_ancestors` may show the page in a frame."""
    connect = " ".join(["'self'", "ws:", "wss:"])
    return "; ".join(
        [
            "default-src 'self'",
            "img-src 'self' data:",
            f"connect-src {connect}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            f"frame-ancestors {' '.join(frame_ancestors)}",
        ]
    )


def embed_origins() -> list[str]:
    """Origins that may show any poll in a frame, besides our own."""
    return list(settings.ALLOWED_ORIGINS)


class ContentSecurityPolicy:
    """Middleware: adds the policy to HTML responses that have none."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_html = response.get("Content-Type", "").startswith("text/html")
        if is_html and not request.path.startswith(EXEMPT_PREFIXES):
            response.headers.setdefault("Content-Security-Policy", policy())
        return response
