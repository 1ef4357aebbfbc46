"""The pages' HTML: what the server puts into it, and what it never does."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.utils import translation

from polls.models import Poll
from polls.services import create_poll

pytestmark = pytest.mark.django_db

PAGES = ("/", "/new/", "/p/{code}/", "/p/{code}/live/", "/p/{code}/manage/")


class Markup(HTMLParser):
    """Every tag with its attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        is_data = self._inside == "script" and self.tags[-1][1].get("type") == "application/json"
        if self._inside in ("script", "style") and data.strip() and not is_data:
            self.inline.append(data)


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """A request leaves its language active in this thread; the next test wants the default."""
    yield
    translation.deactivate()


@pytest.fixture
def poll() -> Poll:
    poll, _ = create_poll(question="Soup or <b>salad</b>?", options=["Minestrone", "Caesar"])
    return poll


def read(client: Client, path: str, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_nothing_inline_and_loads_nothing_from_elsewhere(
    client: Client, poll: Poll, page: str
) -> None:
    markup = Markup(read(client, page.format(code=poll.code)))
    assert markup.inline == []
    for tag, attributes in markup.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert re.match(r"/(?!/)|#", attributes.get(name) or "/"), (tag, attributes)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_strict_content_security_policy(client: Client, poll: Poll, page: str) -> None:
    response = client.get(page.format(code=poll.code))
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("page", PAGES)
def test_every_field_and_button_has_a_name(client: Client, poll: Poll, page: str) -> None:
    markup = Markup(read(client, page.format(code=poll.code)))
    labelled = {attributes.get("for") for tag, attributes in markup.tags if tag == "label"}
    for tag, attributes in markup.tags:
        if tag in ("input", "select", "textarea") and attributes.get("type") not in (
            "radio",
            "checkbox",
        ):
            named = attributes.get("id") in labelled or "aria-label" in attributes
            assert named or attributes.get("id") == "language-switch", attributes


@pytest.mark.parametrize("page", PAGES[2:])
def test_a_poll_page_has_its_texts_as_text_and_no_count(
    client: Client, poll: Poll, page: str
) -> None:
    html = read(client, page.format(code=poll.code))
    assert "Soup or &lt;b&gt;salad&lt;/b&gt;?" in html
    assert "<b>salad" not in html
    assert '"counts"' not in html
    assert '"version"' not in html


@pytest.mark.parametrize("page", PAGES[2:])
def test_codes_and_ids_lead_to_a_poll_in_any_case(client: Client, poll: Poll, page: str) -> None:
    read(client, page.format(code=poll.code.lower()))
    read(client, page.format(code=poll.id))


@pytest.mark.parametrize("path", ["/p/NOSUCH/", "/p/NOSUCH/live/", "/p/NOSUCH/qr.svg", "/nothing/"])
def test_what_is_not_there_offers_to_try_another_code(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert 'id="join-code"' in response.content.decode()
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_only_read(client: Client, poll: Poll, page: str) -> None:
    path = page.format(code=poll.code)
    assert client.put(path).status_code == 405
    if path != f"/p/{poll.code}/":  # whose form votes: tests/web/test_plain_vote.py
        assert client.post(path).status_code == 405


def test_the_owner_page_sends_no_referrer(client: Client, poll: Poll) -> None:
    assert client.get(f"/p/{poll.code}/manage/").headers["Referrer-Policy"] == "no-referrer"


def test_the_qr_code_is_an_image_of_the_vote_page(client: Client, poll: Poll) -> None:
    response = client.get(f"/p/{poll.code}/qr.svg")
    assert response.headers["Content-Type"] == "image/svg+xml"
    assert response.content.startswith(b"<svg")


@pytest.mark.parametrize(
    ("language", "direction", "text"),
    [
        ("en", "ltr", "Ask the room."),
        ("de", "ltr", "Frag den Raum."),
        ("ar", "rtl", "اسأل القاعة."),
    ],
)
def test_pages_speak_the_browsers_language(
    client: Client, language: str, direction: str, text: str
) -> None:
    html = read(client, "/", **{"Accept-Language": language})
    assert f'<html lang="{language}" dir="{direction}"' in html
    assert text in html
    assert f'src="/scripts/start.{language}.' in html


def test_a_chosen_language_goes_before_the_browsers(client: Client) -> None:
    client.cookies["django_language"] = "de"
    assert "Frag den Raum." in read(client, "/", **{"Accept-Language": "ar"})


def test_a_page_gets_its_own_messages_in_the_language_of_their_address(
    client: Client,
) -> None:
    script = read(client, "/scripts/vote.de.0.js", **{"Accept-Language": "ar"})
    assert "Deine Stimme ist gez" in script
    assert "Diese Umfrage l\\u00f6schen" not in script
    assert "Diese Umfrage l\\u00f6schen" in read(client, "/scripts/manage.de.0.js")


class TestFrames:
    @pytest.mark.parametrize("variant", ["overlay", "embed"])
    def test_sites_that_the_settings_allow_may_show_a_poll(
        self, client: Client, poll: Poll, settings: object, variant: str
    ) -> None:
        settings.ALLOWED_ORIGINS = ["https://example.org"]  # type: ignore[attr-defined]
        response = client.get(f"/p/{poll.code}/live/?{variant}=1")
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'self' https://example.org" in policy
        assert "X-Frame-Options" not in response.headers

    @pytest.mark.parametrize("variant", ["overlay", "embed"])
    def test_sites_that_the_owner_allows_may_show_this_poll(
        self, client: Client, variant: str
    ) -> None:
        poll, _ = create_poll(
            question="Which?", options=["A", "B"], embed_origins=["https://a.org", "http://b:81"]
        )
        response = client.get(f"/p/{poll.code}/live/?{variant}=1")
        policy = response.headers["Content-Security-Policy"]
        assert policy.endswith("frame-ancestors 'self' https://a.org http://b:81")
        assert "X-Frame-Options" not in response.headers
        for path in (f"/p/{poll.code}/", f"/p/{poll.code}/manage/", f"/p/{poll.code}/live/"):
            policy = client.get(path).headers["Content-Security-Policy"]
            assert policy.endswith("frame-ancestors 'self'")

    def test_no_site_may_show_a_page_where_one_votes_or_manages(
        self, client: Client, poll: Poll, settings: object
    ) -> None:
        settings.ALLOWED_ORIGINS = ["https://example.org"]  # type: ignore[attr-defined]
        for path in (f"/p/{poll.code}/", f"/p/{poll.code}/manage/", f"/p/{poll.code}/live/"):
            policy = client.get(path).headers["Content-Security-Policy"]
            assert policy.endswith("frame-ancestors 'self'")


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin/login/", "/admin/polls/poll/"])
def test_there_is_no_admin_until_it_is_switched_on(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.post(path).status_code == 404
