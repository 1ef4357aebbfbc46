"""The pages' HTML: layout, messages, the poll as all see it and its ballot. Never a count.

Votes and tallies are fetched by the page itself over the public API and socket, so a hidden result
cannot get into a page's HTML. What a page says depends on its poll and its language alone: it is
kept for all who ask (`livepoll.hot_responses`).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods, require_safe

from polls.api.code_files import SHEET_STYLE_SOURCE
from polls.errors import PollNotFound
from polls.http.attempts import current_attempts
from polls.http.response import ASKED_FOR_ANEW
from polls.http.voter_cookie import set_cookie
from polls.identity.voters import mint_device, token_of
from polls.models import Poll
from polls.selectors import get_poll
from web import page_files
from web.ballot_context import ballot_context, live_context, start_context
from web.csp import embed_origins, policy
from web.kinds import KINDS
from web.messages import PAGES
from web.plain_vote import Result, cast_by_form
from web.qr import qr_svg

View = TypeVar("View", bound=Callable[..., HttpResponse])


def _page(request: HttpRequest, name: str, **context: Any) -> HttpResponse:
    return render(request, f"web/{name}.html", context | {"page": name})


def _poll_page(request: HttpRequest, name: str, poll: Any, **context: Any) -> HttpResponse:
    """A page of one poll; a poll of a kind without pages has one, 404, that says so."""
    kind = KINDS.get(poll.kind)
    if kind is None:
        return render(request, "web/no_pages.html", status=404)
    return _page(request, name, poll=poll, kind=kind, **context)


def _poll(code: str) -> Any:
    try:
        poll = get_poll(code)
    except PollNotFound as missing:
        refusal = current_attempts.get().count_now(missing, poll=code)
        raise (Http404 if refusal is missing else refusal) from missing
    current_attempts.get().found(code)
    return poll


def _asked_for_anew(view: View) -> View:
    @wraps(view)
    def marked(*args: Any, **kwargs: Any) -> HttpResponse:
        response = view(*args, **kwargs)
        response.headers.setdefault("Cache-Control", ASKED_FOR_ANEW)
        return response

    return cast(View, marked)


@require_safe
@_asked_for_anew
@gzip_page
def start(request: HttpRequest) -> HttpResponse:
    return _page(request, "start", **start_context(request))


@require_safe
@gzip_page
def new(request: HttpRequest) -> HttpResponse:
    return _page(request, "new", kinds=KINDS.values())


@require_http_methods(["GET", "HEAD", "POST"])
@_asked_for_anew
@gzip_page
def vote(request: HttpRequest, code: str) -> HttpResponse:
    """The vote page. A `POST` is a vote by its form, where no script runs, or not yet."""
    poll = _poll(code)
    if request.method != "POST":
        return _vote_page(request, poll)
    result = cast_by_form(request, poll)
    response = _vote_page(request, poll, result)
    response.headers["Cache-Control"] = "no-store"
    if result.needs_cookie:
        cookie = set_cookie(token_of(mint_device()), is_secure=request.is_secure())
        response.cookies.load(cookie.decode())
    return response


def _vote_page(request: HttpRequest, poll: Poll, result: Result | None = None) -> HttpResponse:
    context = ballot_context(request, poll, result)
    response = _poll_page(request, "vote", poll, **context)
    if result is not None and response.status_code == 200:
        response.status_code = result.status
    return response


@require_safe
@_asked_for_anew
@gzip_page
@xframe_options_exempt
def live(request: HttpRequest, code: str) -> HttpResponse:
    """The big screen. With ?overlay=1 or ?embed=1 it may be shown in other sites' frames."""
    poll = _poll(code)
    overlay = request.GET.get("overlay") == "1"
    embed = request.GET.get("embed") == "1"
    origins = ["'self'"]
    if overlay or embed:
        origins += [*embed_origins(), *poll.embed_origins]
    context = live_context(request, poll)
    response = _poll_page(request, "live", poll, overlay=overlay, embed=embed, **context)
    response.headers["Content-Security-Policy"] = policy(request, origins)
    return response


@require_safe
@gzip_page
def manage(request: HttpRequest, code: str) -> HttpResponse:
    poll = _poll(code)
    response = _poll_page(request, "manage", poll)
    response.headers["Referrer-Policy"] = "no-referrer"
    # It opens sheets of voter codes as blobs, which have its policy.
    response.headers["Content-Security-Policy"] = policy(request, style=SHEET_STYLE_SOURCE)
    return response


@require_safe
@cache_control(public=True, max_age=3600)
def qr(request: HttpRequest, code: str) -> HttpResponse:
    """The vote page's address as a QR code."""
    address = request.build_absolute_uri(reverse("web:vote", args=[_poll(code).code]))
    return HttpResponse(qr_svg(address), content_type="image/svg+xml")


@require_safe
@gzip_page
def script(request: HttpRequest, page: str, language: str, tag: str) -> HttpResponse:
    """A page's script, with its texts in one language."""
    if page not in PAGES or language not in dict(settings.LANGUAGES):
        raise Http404
    return _file(page_files.script(page, language), tag, "text/javascript")


@require_safe
@gzip_page
def style(request: HttpRequest, page: str, tag: str) -> HttpResponse:
    """A page's style sheet."""
    if page not in PAGES:
        raise Http404
    return _file(page_files.style(page), tag, "text/css")


def _file(file: page_files.PageFile, tag: str, content_type: str) -> HttpResponse:
    """A page of another version, during an update, gets what there is, and must not keep it."""
    kept = "public, max-age=31536000, immutable" if tag == file.tag else "no-store"
    return HttpResponse(
        file.text, content_type=f"{content_type}; charset=utf-8", headers={"Cache-Control": kept}
    )
