"""The application's wiring: which endpoint serves which path.

Every HTTP request passes the request guard, then the rate limits. `POST …/votes/`,
`GET …/results/` and `POST …/voters/` go to raw ASGI endpoints (`polls.http`), what a crowd reads
(pages, poll objects) to `livepoll.hot_responses`, files to `livepoll.static_files`, probes to
`livepoll.health` and `livepoll.metrics`, everything else to Django; sockets go to the poll's
consumer.
"""

import os
import re
from collections.abc import Awaitable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livepoll.settings")

import django

django.setup(set_prefix=False)

# Everything below needs the app registry that the line above filled.
from channels.routing import ProtocolTypeRouter  # noqa: E402

from livepoll.django_endpoint import django_endpoint  # noqa: E402
from livepoll.health import healthz, readyz  # noqa: E402
from livepoll.hot_responses import HotResponses, place_of  # noqa: E402
from livepoll.lifespan import lifespan  # noqa: E402
from livepoll.metrics import metrics  # noqa: E402
from livepoll.rate_limits import Application, RateLimits  # noqa: E402
from livepoll.request_guard import guarded, guarded_socket  # noqa: E402
from livepoll.static_files import StaticFiles, is_static  # noqa: E402
from livepoll.transport.http_protocol import BoundedHTTP  # noqa: E402
from polls.http.request_ids import with_request_ids  # noqa: E402
from polls.http.results import show_results  # noqa: E402
from polls.http.vote import cast_vote  # noqa: E402
from polls.http.voter_token import mint_voter_token  # noqa: E402
from polls.rules.limits import LIMITS  # noqa: E402
from realtime.hub import running_hub  # noqa: E402
from realtime.memory import freeze_startup_objects  # noqa: E402
from realtime.routing import websocket_application  # noqa: E402
from realtime.socket_protocol import BoundedSocket  # noqa: E402

# The last two are Uvicorn's to use: `--http asgi:BoundedHTTP --ws asgi:BoundedSocket`.
__all__ = ["BoundedHTTP", "BoundedSocket", "application"]


async def django_or_probe(scope: dict[str, Any], receive: Any, send: Any) -> None:
    probe = _PROBES.get(scope["path"].rstrip("/"))
    await (probe or django_endpoint)(scope, receive, send)


_PROBES = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
_RAW_PATH = re.compile(r"/api/v1/(?:polls/[^/]+/(votes|results)|(voters))/?")
# The endpoint, and the name of the rate it is under; None: exempt (`livepoll.rate_limits`).
RAW_ENDPOINTS: dict[tuple[str, str], tuple[Application, str | None]] = {
    ("POST", "votes"): (cast_vote, "votes"),
    ("GET", "results"): (show_results, None),
    ("POST", "voters"): (mint_voter_token, "tokens"),
}


def http_application(limits: RateLimits) -> Application:
    """All that answers HTTP, behind these limits."""
    raw_endpoints = {
        place: guarded(limits.raw(endpoint, rate), LIMITS["vote_body_bytes"])
        for place, (endpoint, rate) in RAW_ENDPOINTS.items()
    }
    everything_else = with_request_ids(guarded(limits.django(django_or_probe)))
    hot = guarded(limits.raw(HotResponses(django_endpoint), None))
    static = guarded(limits.raw(StaticFiles(django_endpoint), None, of_poll=False))

    def serve(scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
        running_hub()  # without it, what this process writes would wait for the channel layer
        match = _RAW_PATH.fullmatch(scope["path"])
        raw_endpoint = match and raw_endpoints.get((scope["method"], match[1] or match[2]))
        if raw_endpoint is None:
            raw_endpoint = (
                hot if place_of(scope) else static if is_static(scope) else everything_else
            )
        return raw_endpoint(scope, receive, send)

    return serve


def application_behind(limits: RateLimits) -> Any:
    """The whole application."""
    return ProtocolTypeRouter(
        {
            "http": http_application(limits),
            "websocket": guarded_socket(limits.sockets(websocket_application)),
            "lifespan": lifespan,
        }
    )


application = application_behind(RateLimits())

freeze_startup_objects()
