"""The application's wiring: which endpoint serves which path.

Every HTTP request passes the request guard, then the rate limits. `POST …/votes/` and
`GET …/results/` go to raw ASGI endpoints (`polls.http`), probes to `livepoll.health` and
`livepoll.metrics`, everything else to Django; sockets go to the poll consumer.
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
from django.conf import settings  # noqa: E402

from livepoll.django_endpoint import django_endpoint  # noqa: E402
from livepoll.health import healthz, readyz  # noqa: E402
from livepoll.lifespan import lifespan  # noqa: E402
from livepoll.metrics import metrics  # noqa: E402
from livepoll.rate_limits import RateLimits, unlimited  # noqa: E402
from livepoll.request_guard import guarded  # noqa: E402
from polls.http.request_ids import with_request_ids  # noqa: E402
from polls.http.results import show_results  # noqa: E402
from polls.http.vote import cast_vote  # noqa: E402
from realtime.hub import running_hub  # noqa: E402
from realtime.memory import freeze_startup_objects  # noqa: E402
from realtime.routing import websocket_application  # noqa: E402

limited = RateLimits() if settings.RATE_LIMITS else unlimited


async def django_or_probe(scope: dict[str, Any], receive: Any, send: Any) -> None:
    probe = _PROBES.get(scope["path"].rstrip("/"))
    await (probe or django_endpoint)(scope, receive, send)


_PROBES = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
_RAW_PATH = re.compile(r"/api/v1/polls/[^/]+/(votes|results)/?")
_RAW_ENDPOINTS = {
    ("POST", "votes"): guarded(limited(cast_vote, is_raw=True)),
    ("GET", "results"): guarded(limited(show_results, is_raw=True)),
}
_everything_else = with_request_ids(guarded(limited(django_or_probe)))


def http_application(scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
    running_hub()  # without it, what this process writes would wait for the channel layer
    match = _RAW_PATH.fullmatch(scope["path"])
    raw_endpoint = match and _RAW_ENDPOINTS.get((scope["method"], match[1]))
    return (raw_endpoint or _everything_else)(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": limited(websocket_application),
        "lifespan": lifespan,
    }
)

freeze_startup_objects()
