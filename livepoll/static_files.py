"""Files that pages load, without a Django request each: static files, and each page's script and
style sheet.

Django answers once for each file and encoding, WhiteNoise for it. The response is kept and sent
from memory. What is not answered with 200 (no such file, ranges), what is not to be kept, and what
is too large, is Django's each time, and after the first time only once.
"""

import re
from functools import partial
from typing import Any

from django.conf import settings

from livepoll.django_request import Application, ask_django, get_scope
from livepoll.kept_response import KeptResponse, encodings_of
from livepoll.shared_answer import SharedAnswers
from polls.http import request_ids
from polls.http.request import Header, RawRequest, Receive, Send

# A page's script is 5 to 100 KB; the documentation's bundle is a megabyte.
LARGEST_KEPT_BYTES = 200_000
_MOST_NOT_KEPT = 1_000

_File = tuple[str, tuple[str, ...]]  # its path, and the encodings that are asked for
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
        self._kept: dict[_File, KeptResponse] = {}
        self._not_kept: set[str] = set()  # what is known to be Django's each time
        # Thousands may want a file that none has asked for before.
        self._read_now: SharedAnswers[KeptResponse | None] = SharedAnswers()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = RawRequest.of(scope)
        response = None
        path = scope["path"]
        if b"range" not in request.headers and path not in self._not_kept:
            file = _file_for(path, request.headers.get(b"accept-encoding", b""))
            response = self._kept.get(file) or await self._read_now.get(
                file, partial(self._read, file, request.address)
            )
        if response is None:
            await self._ordinary(scope, receive, send)
            return
        await response.send(
            send,
            [],
            accept_encoding=request.headers.get(b"accept-encoding", b""),
            if_none_match=request.header(b"if-none-match"),
        )

    async def _read(self, file: _File, sender: str) -> KeptResponse | None:
        path, encodings = file
        headers = [(b"host", b"localhost"), (b"accept-encoding", ", ".join(encodings).encode())]
        scope = get_scope(path, sender=sender, headers=headers)
        status, sent, body = await ask_django(self._django, scope)
        if status != 200 or len(body) > LARGEST_KEPT_BYTES or not _may_be_kept(sent):
            if status in (200, 404) and len(self._not_kept) < _MOST_NOT_KEPT:
                self._not_kept.add(path)
            return None
        response = self._kept[file] = KeptResponse(sent, body)
        return response


def _file_for(path: str, accept_encoding: bytes) -> _File:
    """Static files are asked for as the client takes them, for WhiteNoise may have them compressed;
    what Django makes is kept once, and compressed here."""
    return path, encodings_of(accept_encoding) if path.startswith(settings.STATIC_URL) else ()


def _may_be_kept(headers: list[Header]) -> bool:
    return all(
        b"no-store" not in value for name, value in headers if name.lower() == b"cache-control"
    )
