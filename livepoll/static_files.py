"""Files that pages load, without a Django request each: static files, and each page's script and
style sheet.

Django answers once a file, and WhiteNoise for it; the response is kept and sent from memory. What
is not answered with 200 (no such file, ranges), what is not to be kept, and what is too large, is
Django's each time.
"""

import asyncio
import re
from typing import Any

from django.conf import settings

from livepoll.django_request import Application, ask_django, get_scope
from livepoll.kept_response import KeptResponse
from polls.http import request_ids
from polls.http.request import Header, RawRequest, Receive, Send

# A page's script is 5 to 100 KB; the documentation's bundle is a megabyte.
LARGEST_KEPT_BYTES = 200_000


_PAGE_FILE = re.compile(r"/(?:scripts|styles)/[\w.-]+")


def is_static(scope: dict[str, Any]) -> bool:
    """Whether a request reads what is the same for all, for as long as this process runs."""
    path = scope["path"]
    return (
        (path.startswith(settings.STATIC_URL) or _PAGE_FILE.fullmatch(path) is not None)
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
        # By event loop and path: thousands may want a file that none has asked for before.
        self._reading: dict[tuple[Any, str], asyncio.Task[KeptResponse | None]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = RawRequest.of(scope)
        response = None
        if b"range" not in request.headers:
            response = self._kept.get(scope["path"]) or await self._read_once(scope["path"])
        if response is None:
            await self._ordinary(scope, receive, send)
            return
        await response.send(
            send,
            [],
            accept_encoding=request.headers.get(b"accept-encoding", b""),
            if_none_match=request.header(b"if-none-match"),
        )

    async def _read_once(self, path: str) -> KeptResponse | None:
        key = (asyncio.get_running_loop(), path)
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = key[0].create_task(self._read(path))
            reading.add_done_callback(lambda _: self._reading.pop(key))
        return await asyncio.shield(reading)

    async def _read(self, path: str) -> KeptResponse | None:
        status, headers, body = await ask_django(
            self._django, get_scope(path, headers=[(b"host", b"localhost")])
        )
        if status != 200 or len(body) > LARGEST_KEPT_BYTES or not _may_be_kept(headers):
            return None
        response = self._kept[path] = KeptResponse(headers, body)
        return response


def _may_be_kept(headers: list[Header]) -> bool:
    return all(
        b"no-store" not in value for name, value in headers if name.lower() == b"cache-control"
    )
