"""The admin's cookies are Secure where the connection is; the only ones Django itself sets."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def secure_admin_cookies(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, outside of sessions and CSRF: marks their cookies on answers over https.

    SESSION_COOKIE_SECURE would decide once for all, and shut plain http out.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.is_secure():
            for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
                if name in response.cookies:
                    response.cookies[name]["secure"] = True
        return response

    return middleware
