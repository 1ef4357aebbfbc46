"""What a crowd asks for at once, without a Django request each: pages of a poll, the poll object,
the start page, the list of polls.

Django makes the bytes, for a request that says what was asked and nothing of the client, so nothing
of one client can get into them; it waits for a thread in the turn of the address that asked first.
Those of a poll are kept until an act or edit of its owner, or the clock, makes another state of it:
the state is asked of the database after the request came, as results are, many in one query. Those
of many polls are made anew for all who asked before the making began. So none is older than what
any process had acknowledged by then (docs/decisions/hot-pages.md).
"""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from django.conf import settings
from django.http import QueryDict
from django.http.cookie import parse_cookie
from django.utils.translation import get_language_from_request

from livepoll.django_request import Application, ask_django, get_scope
from livepoll.kept_response import KeptResponse
from livepoll.shared_answer import SharedAnswers
from polls import errors
from polls.http import request_ids
from polls.http.attempts import current_attempts
from polls.http.request import SCOPE_KEY, Header, RawRequest, Receive, Send
from polls.http.response import cors_headers
from polls.http.voter_cookie import COOKIE_NAMES, set_cookie
from polls.identity.voters import mint_device, token_of
from polls.refs import parse_ref
from polls.results.reader import PollQuery, Reading, reader

logger = logging.getLogger(__name__)

_MOST_KEPT_BYTES = 32_000_000
_SCOPE_KEY = "livepoll.place"
_LONGEST_KEPT = 300  # of a query or header that is part of a key
_SESSION = settings.SESSION_COOKIE_NAME.encode() if settings.ADMIN else None
_LANGUAGE = settings.LANGUAGE_COOKIE_NAME
_LANGUAGE_BYTES = _LANGUAGE.encode()
_VOTER = re.compile(rb"(?:^|;\s*)(?:%b)=[^;\s]" % "|".join(COOKIE_NAMES).encode())
_JSON = frozenset((b"", b"*/*", b"application/json", b"application/json, */*"))
_OF_A_BODY = b"application/json"
_PATH = re.compile(
    r"/(?:p/(?P<page>[^/]+)(?:/(?P<live>live))?/?|api/v1/polls(?:/(?P<ref>[^/]+))?/?)?"
)


class Place(NamedTuple):
    """One view among those that are hot.

    Args:
        path: of the request to Django; `{code}` and `{id}` are the poll's.
        has_poll: it is of one poll, else of many.
        has_version: it is the poll object, which has the version of the newest vote.
        has_query: the view reads the query.
        flags: all that the view reads of it; each makes another page by being "1".
        is_json: it is the API's.
        makes_voters: it gives a browser its voter token, as a cookie.
    """

    path: str
    has_poll: bool = False
    has_version: bool = False
    has_query: bool = False
    flags: tuple[str, ...] = ()
    is_json: bool = False
    makes_voters: bool = False


START = Place("/")
LIST = Place("/api/v1/polls/", has_query=True, is_json=True)
POLL = Place("/api/v1/polls/{id}/", has_poll=True, has_version=True, has_query=True, is_json=True)
VOTE = Place("/p/{code}/", has_poll=True, makes_voters=True)
LIVE = Place("/p/{code}/live/", has_poll=True, has_query=True, flags=("overlay", "embed"))


def place_of(scope: dict[str, Any]) -> Place | None:
    """The place that a request asks for, in the usual way; noted in the scope."""
    if scope["method"] not in ("GET", "HEAD"):
        return None
    match = _PATH.fullmatch(scope["path"])
    if match is None:
        return None
    page, live, ref = match.groups()
    if page:
        place = LIVE if live else VOTE
    elif ref:
        place = POLL
    else:
        place = START if scope["path"] == "/" else LIST
    scope[_SCOPE_KEY] = place
    return place


class Asked(NamedTuple):
    """All of a request that its response may depend on, but the poll."""

    place: Place
    query: bytes
    host: bytes
    is_secure: bool
    language: str
    origin: bytes


def asked_of(place: Place, scope: dict[str, Any], request: RawRequest) -> Asked | None:
    """None: a request that Django is to see itself, for what it brings or how it is put."""
    headers = request.headers
    cookies = headers.get(b"cookie", b"")
    if b"authorization" in headers or (_SESSION is not None and _SESSION in cookies):
        return None
    query: bytes = scope.get("query_string", b"") if place.has_query else b""
    if len(query) > _LONGEST_KEPT or (place.has_version and query):
        return None
    if query and place.flags:
        query = _flags_of(query, place.flags)
    if place.is_json and headers.get(b"accept", b"") not in _JSON:
        return None
    if headers.get(b"content-type", _OF_A_BODY) != _OF_A_BODY:  # of no body; Django checks it
        return None
    try:
        request.check_host()
    except errors.PollError:
        return None
    origin = b""
    if place.is_json and b"origin" in headers and cors_headers(request):
        origin = headers[b"origin"]
    host, accepted = headers.get(b"host", b""), headers.get(b"accept-language", b"")
    chosen = _chosen_language(cookies) if _LANGUAGE_BYTES in cookies else ""
    if max(len(host), len(accepted), len(chosen)) > _LONGEST_KEPT:
        return None
    return Asked(place, query, host, request.is_secure, _language_among(chosen, accepted), origin)


def _flags_of(query: bytes, names: tuple[str, ...]) -> bytes:
    """The query without what the view does not read, so that it makes and keeps no more pages."""
    given = QueryDict(query)
    return b"&".join(b"%b=1" % name.encode() for name in names if given.get(name) == "1")


def _chosen_language(cookies: bytes) -> str:
    return parse_cookie(cookies.decode("latin-1")).get(_LANGUAGE, "")


@lru_cache(maxsize=1_000)
def _language_among(chosen: str, accepted: bytes) -> str:
    """As Django's own middleware chooses it."""
    return get_language_from_request(
        SimpleNamespace(  # type: ignore[arg-type] # what it reads of a request
            COOKIES={_LANGUAGE: chosen} if chosen else {},
            META={"HTTP_ACCEPT_LANGUAGE": accepted.decode("latin-1")},
        )
    )


class HotResponses:
    """Sends what is kept, and has Django make what is not. On event loops.

    Args:
        django: answers a request; it is behind no limits, for its clients have passed them.
    """

    def __init__(self, django: Application) -> None:
        self._django = django
        self._ordinary = request_ids.with_request_ids(django)
        self._kept = Kept(_MOST_KEPT_BYTES)
        self._of_states: SharedAnswers[KeptResponse | None] = SharedAnswers()
        # What is being made of many polls, and for those who came after that had begun.
        self._making: dict[Hashable, asyncio.Task[KeptResponse | None]] = {}
        self._waiting: dict[Hashable, asyncio.Task[KeptResponse | None]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """For a scope in which `place_of` finds one."""
        place = scope.get(_SCOPE_KEY) or place_of(scope)
        assert place is not None
        request = RawRequest.of(scope)
        own = _voter_cookie(request) if place.makes_voters else []
        request_id = request_ids.new_request_id()  # in the log of what is made for it, too
        asked = asked_of(place, scope, request)
        response, version_at = None, (0, 0)
        if asked is not None and place.has_poll:
            response, version_at = await self._of_poll(asked, request)
        elif asked is not None:
            response = await self._of_many(asked, request.address)
        if response is None:
            await self._make_ordinarily(scope, receive, send, own)
            return
        await response.send(
            send,
            [(b"x-request-id", request_id.encode()), *own],
            accept_encoding=request.headers.get(b"accept-encoding", b""),
            if_none_match=request.header(b"if-none-match"),
            version_at=version_at,
        )

    async def _of_poll(
        self, asked: Asked, request: RawRequest
    ) -> tuple[KeptResponse | None, tuple[int, int]]:
        """It, and the poll's epoch and version."""
        ref = request.poll_ref
        parsed = parse_ref(ref)
        if parsed is None:
            return None, (0, 0)
        try:
            reading = await reader.read(PollQuery(parsed))
        except Exception:  # Django has a page for each failure
            return None, (0, 0)
        state = reading.state
        current_attempts.get().found(ref)
        holds_at = (state.epoch, state.revision, reading.status)
        key = (asked, state.id)
        kept = self._kept.get(key)
        if kept is None or kept[0] != holds_at or settings.DEBUG:  # there, templates change
            scope = _scope_for(asked, reading, request.address)
            # At this state or a newer one: all who have read the same state share it.
            response = await self._of_states.get(
                (*key, holds_at), partial(self._made, scope, asked.place)
            )
            if response is None:
                return None, (0, 0)
            self._kept.keep(key, holds_at, response)
        else:
            response = kept[1]
        return response, (state.epoch, state.version)

    async def _of_many(self, asked: Asked, sender: str) -> KeptResponse | None:
        """Made after it was asked for; all who wait for the same share it."""
        loop = asyncio.get_running_loop()
        key = (loop, asked)
        waiting = self._waiting.get(key)
        if waiting is None:
            scope = _scope_for(asked, None, sender)
            making = self._made_next(key, scope, asked.place)
            waiting = self._waiting[key] = loop.create_task(making)
        return await asyncio.shield(waiting)

    async def _made_next(
        self, key: Hashable, scope: dict[str, Any], place: Place
    ) -> KeptResponse | None:
        while (before := self._making.get(key)) is not None:
            await asyncio.wait([before])
        self._making[key] = self._waiting.pop(key)
        try:
            return await self._made(scope, place)
        finally:
            del self._making[key]

    async def _made(self, scope: dict[str, Any], place: Place) -> KeptResponse | None:
        """None: it is not 200, so each client is to get its own."""
        try:
            status, headers, body = await ask_django(self._django, scope)
        except Exception:
            logger.exception("a response that is to be kept cannot be made")
            return None
        if status != 200:
            return None
        return KeptResponse(headers, body, has_version=place.has_version)

    async def _make_ordinarily(
        self, scope: dict[str, Any], receive: Receive, send: Send, own: list[Header]
    ) -> None:
        async def send_with_own(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                message["headers"] = [*message["headers"], *own]
            await send(message)

        # It gets an id there, so its request is read anew.
        fresh = {name: value for name, value in scope.items() if name != SCOPE_KEY}
        await self._ordinary(fresh, receive, send_with_own if own else send)


class Kept:
    """Responses by key, each with the state it holds at; the least used leave first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, tuple[Hashable, KeptResponse]] = OrderedDict()

    def get(self, key: Hashable) -> tuple[Hashable, KeptResponse] | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def keep(self, key: Hashable, holds_at: Hashable, response: KeptResponse) -> None:
        self._forget(key)
        self._entries[key] = holds_at, response
        self._bytes += response.size
        while self._bytes > self._most_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: Hashable) -> None:
        before = self._entries.pop(key, None)
        if before is not None:
            self._bytes -= before[1].size


def _voter_cookie(request: RawRequest) -> list[Header]:
    """A new voter token for a browser without one, so that it need not ask for it."""
    if _VOTER.search(request.headers.get(b"cookie", b"")):
        return []
    token = token_of(mint_device())
    return [(b"set-cookie", set_cookie(token, is_secure=request.is_secure))]


def _scope_for(asked: Asked, reading: Reading | None, sender: str) -> dict[str, Any]:
    """A request to Django that says what was asked, and to no view who asked."""
    path = asked.place.path
    if reading is not None:
        path = path.format(code=reading.state.code, id=reading.state.id)
    headers = [(b"host", asked.host), (b"accept-language", asked.language.encode())]
    if asked.origin:
        headers.append((b"origin", asked.origin))
    return get_scope(
        path, sender=sender, query=asked.query, is_secure=asked.is_secure, headers=headers
    )
