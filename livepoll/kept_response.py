"""A response of Django's, kept to be sent many times: compressed once, with an ETag.

It holds nothing of the request it was made for; what is one client's own, as a cookie or the
request's id, is added when it is sent.
"""

import gzip
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

import brotli

from polls.http.request import Header, Send
from polls.http.response import Standing, matches_tag, respond_with, standing_headers

# What is said of the bytes that are sent: the encoding gets an ETag of its own.
_OWN = frozenset((b"content-length", b"etag"))
# What a browser has to know of a page, also with 304: it updates what it keeps by them.
_OF_THE_BODY = frozenset((b"content-type",))
# Made once and sent often; more would take its time from the event loop.
_GZIP_LEVEL = 6
_BROTLI_QUALITY = 5
_LONGEST_HEADER = 200
_HOLE = re.compile(rb'(,"epoch":(\d+),"version":)(\d+)(?=,)')


class KeptResponse:
    """The status 200, its headers and its body in each encoding.

    Args:
        headers: as Django sent them. A body that they say varies by Accept-Encoding, and has no
            Content-Encoding yet, is compressed; it must hold no secret, for each client gets the
            same bytes.
        has_version: the body is a poll object, of which a vote changes the version alone. It is
            put in when the response is sent, where it is newer and of the same epoch.
    """

    def __init__(self, headers: list[Header], body: bytes, *, has_version: bool = False) -> None:
        named = [(name.lower(), value) for name, value in headers]
        lower = [header for header in named if header[0] not in _OWN]
        self._standing = {encoding: _with_encoding(lower, encoding) for encoding in _ENCODERS}
        self._unchanged = standing_headers([one for one in lower if one[0] not in _OF_THE_BODY])
        self._bodies = {"": body}
        self._parts: list[bytes] = []
        self._made_at = (0, 0)
        if has_version and (hole := _HOLE.search(body)):
            self._parts = [body[: hole.end(1)], body[hole.end() :]]
            self._made_at = int(hole[2]), int(hole[3])
        self._tag = blake2b(b"".join(self._parts) or body, digest_size=9).hexdigest()
        self._tags = {one: f'"{self._tag}{one and "-" + one}"' for one in _ENCODERS}
        self._is_compressed = not any(name == b"content-encoding" for name, _ in lower) and any(
            name == b"vary" and b"accept-encoding" in value.lower() for name, value in lower
        )

    @property
    def size(self) -> int:
        """Some bytes of memory, when each encoding has been asked for."""
        return 2 * len(self._bodies[""]) + 2_000

    async def send(
        self,
        send: Send,
        headers: list[Header],
        *,
        accept_encoding: bytes = b"",
        if_none_match: str = "",
        version_at: tuple[int, int] = (0, 0),
    ) -> None:
        """Send it, or 304 to a client that has it.

        Args:
            headers: the request's own; the ETag is added to them.
            version_at: the poll's epoch and version when it was asked, where the body has them.
                It may have been reset before the body was made: then the body's own are right.
        """
        epoch, own_version = self._made_at
        version = max(own_version, version_at[1]) if version_at[0] == epoch else own_version
        encoding = encoding_for(accept_encoding) if self._is_compressed else ""
        tag = f'"{self._tag}-{version}"' if self._parts else self._tags[encoding]
        headers.append((b"etag", tag.encode()))
        if if_none_match and matches_tag(if_none_match, tag):
            await respond_with(send, 304, b"", self._unchanged, headers)
            return
        body = self._body(encoding, version)
        await respond_with(send, 200, body, self._standing[encoding], headers)

    def _body(self, encoding: str, version: int) -> bytes:
        if self._parts:
            before, after = self._parts
            return b"%b%d%b" % (before, version, after)
        body = self._bodies.get(encoding)
        if body is None:
            body = self._bodies[encoding] = _ENCODERS[encoding](self._bodies[""])
        return body


def _with_encoding(headers: list[Header], encoding: str) -> Standing:
    added = [(b"content-encoding", encoding.encode())] if encoding else []
    return standing_headers([*headers, *added])


_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda body: body,
    "gzip": lambda body: gzip.compress(body, _GZIP_LEVEL, mtime=0),
    "br": lambda body: brotli.compress(body, quality=_BROTLI_QUALITY),
}


def encoding_for(accept_encoding: bytes) -> str:
    """The best encoding that a client takes, "" for none."""
    return next(iter(encodings_of(accept_encoding)), "")


def encodings_of(accept_encoding: bytes) -> tuple[str, ...]:
    """Those of our encodings that a client takes, the best first."""
    return _encodings(accept_encoding[:_LONGEST_HEADER])


@lru_cache(maxsize=200)
def _encodings(accept_encoding: bytes) -> tuple[str, ...]:
    taken = {}
    for one in accept_encoding.decode("latin-1").lower().split(","):
        name, _, parameter = one.partition(";")
        weight = parameter.replace(" ", "").removeprefix("q=")
        taken[name.strip()] = weight.strip("0.") != "" or not parameter
    return tuple(name for name in ("br", "gzip") if taken.get(name))
