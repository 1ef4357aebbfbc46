"""The admin's cookies over https: `__Host-` names; the only cookies that Django itself sets."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

PREFIX = "__Host-"


def secure_admin_cookies(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, outside of sessions and CSRF: over https their cookies are `__Host-…`.

    A browser takes such a name only with Secure, without a Domain and for all paths, so that
    neither plain http nor a neighbouring host name can set or replace one. SESSION_COOKIE_SECURE
    would decide once for all, and shut plain http out.
    """
    names = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.is_secure():
            return get_response(request)
        for name in names:
            request.COOKIES.pop(name, None)
            if PREFIX + name in request.COOKIES:
                request.COOKIES[name] = request.COOKIES[PREFIX + name]
        response = get_response(request)
        for name in names:
            if name in response.cookies:
                _prefix(response, name)
        return response

    return middleware


def _prefix(response: HttpResponse, name: str) -> None:
    plain = response.cookies.pop(name)
    response.cookies[PREFIX + name] = plain.value
    secure = response.cookies[PREFIX + name]
    for attribute, value in plain.items():
        secure[attribute] = value
    secure["secure"] = True
    secure["path"] = "/"
    secure["domain"] = ""
