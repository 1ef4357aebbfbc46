"""Which pages may open a socket or change anything: ours, and those of ALLOWED_ORIGINS.

A missing Origin is let through: only browsers send one, and only a browser could be made
to carry a user's cookie here. The Host must be one of ours in any case, or a page
whose name was pointed at this server would pass for our own.
"""

from django.conf import settings

from polls.errors import Malformed, OriginNotAllowed
from polls.http.request import RawRequest
from polls.security_events import Event, report


def check_host_and_origin(request: RawRequest) -> None:
    """Refuse, and report, what may carry a user's cookie: a request or a socket from a page of
    another origin.

    Raises:
        Malformed: the Host is none of ours.
        OriginNotAllowed
    """
    try:
        request.check_host()
    except Malformed:
        report(Event.ORIGIN_REFUSED, "host", address=request.address)
        raise
    if b"origin" in request.headers and not _is_allowed_origin(request):
        report(Event.ORIGIN_REFUSED, "origin", address=request.address)
        raise OriginNotAllowed


def _is_allowed_origin(request: RawRequest) -> bool:
    origin = request.header(b"origin")
    if not origin or origin in settings.ALLOWED_ORIGINS:
        return True
    scheme, _, host = origin.partition("://")
    # TLS may end at a proxy that no setting names; a connection known to be https stays https.
    return host == request.header(b"host") and (scheme == "https" or not request.is_secure)
