"""Static files without a Django request each.

WhiteNoise answers, once a file; the response is kept and sent from memory. What it does not answer
with 200 (no such file, ranges), and files too large to keep, are Django's each time.
"""

from typing import Any

from django.conf import settings

from livepoll.django_request import Application, ask_django, get_scope
from livepoll.kept_response import KeptResponse
from polls.http import request_ids
from polls.http.request import RawRequest, Receive, Send

# The page's scripts and styles are 2 to 40 KB; the documentation's bundle is a megabyte.
LARGEST_KEPT_BYTES = 200_000


def is_static(scope: dict[str, Any]) -> bool:
    """Whether a request reads a file under STATIC_URL that may be kept."""
    return (
        scope["path"].startswith(settings.STATIC_URL)
        and scope["method"] in ("GET", "HEAD")
        and not settings.DEBUG  # where files change while the server runs
    )


class StaticFiles:
    """Sends what is kept, and has Django read what is not. On event loops.

    Args:
        django: answers a request.
    """

    def __init__(self, django: Application) -> None:
        self._django = django
        self._ordinary = request_ids.with_request_ids(django)
        self._kept: dict[str, KeptResponse] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = RawRequest.of(scope)
        response = None
        if b"range" not in request.headers:
            response = self._kept.get(scope["path"]) or await self._read(scope["path"])
        if response is None:
            await self._ordinary(scope, receive, send)
            return
        await response.send(
            send,
            [],
            accept_encoding=request.headers.get(b"accept-encoding", b""),
            if_none_match=request.header(b"if-none-match"),
        )

    async def _read(self, path: str) -> KeptResponse | None:
        status, headers, body = await ask_django(
            self._django, get_scope(path, headers=[(b"host", b"localhost")])
        )
        if status != 200 or len(body) > LARGEST_KEPT_BYTES:
            return None
        response = self._kept[path] = KeptResponse(headers, body)
        return response
