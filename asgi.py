"""The front door: which door serves which path. Wiring only.

`POST …/votes/` and `GET …/results/` go to the lean doors, sockets to the poll consumer,
probes to `livepoll.health`, `/metrics` to `livepoll.metrics`, everything else to Django.
"""

import os
import re
import warnings
from collections.abc import Awaitable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livepoll.settings")

from django.core.asgi import get_asgi_application

# WhiteNoise hands out files by synchronous iterators; they are small and read in a thread.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")

django_application = get_asgi_application()

# Everything below needs the app registry that the line above filled.
from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from livepoll.health import healthz, readyz  # noqa: E402
from livepoll.lifespan import lifespan  # noqa: E402
from livepoll.metrics import metrics  # noqa: E402
from livepoll.rate_limits import RateLimits  # noqa: E402
from livepoll.request_guard import guarded  # noqa: E402
from polls.http.request_ids import with_request_ids  # noqa: E402
from polls.http.results import show_results  # noqa: E402
from polls.http.vote import cast_vote  # noqa: E402
from realtime.hub import running_hub  # noqa: E402
from realtime.memory import freeze_startup_objects  # noqa: E402
from realtime.routing import websocket_application  # noqa: E402

_PROBES = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
_LEAN_PATH = re.compile(r"/api/v1/polls/[^/]+/(votes|results)/?")
limited = RateLimits() if settings.RATE_LIMITS else None


async def ordinary_doors(scope: dict[str, Any], receive: Any, send: Any) -> None:
    probe = _PROBES.get(scope["path"].rstrip("/"))
    if probe is not None:
        await probe(scope, receive, send)
        return
    running_hub()  # whoever acts on a poll here is told to screens from here
    await django_application(scope, receive, send)


def vote_door(scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
    running_hub()
    return cast_vote(scope, receive, send)


def results_door(scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
    running_hub()
    return show_results(scope, receive, send)


def lean(door: Any) -> Any:
    """A door that guards itself and gives its own request ids; limits stand before both."""
    return guarded(limited(door, is_lean=True)) if limited else door


_ordinary_doors = with_request_ids(guarded(limited(ordinary_doors) if limited else ordinary_doors))
_LEAN_DOORS = {("POST", "votes"): lean(vote_door), ("GET", "results"): lean(results_door)}


def http_application(scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
    match = _LEAN_PATH.fullmatch(scope["path"])
    lean_door = match and _LEAN_DOORS.get((scope["method"], match[1]))
    return (lean_door or _ordinary_doors)(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": limited(websocket_application) if limited else websocket_application,
        "lifespan": lifespan,
    }
)

freeze_startup_objects()
