"""Every document has a Content-Security-Policy that lets it do only what it must."""

from collections.abc import Callable, Mapping
from http.cookies import SimpleCookie
from typing import Protocol

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings

from livepoll.admin_cookies import secure_admin_cookies
from livepoll.static_headers import protect_files
from polls.models import Poll
from polls.services import create_poll
from web.csp import ContentSecurityPolicy

POLICY = "Content-Security-Policy"


@pytest.fixture
def poll(db: None) -> Poll:
    poll, _ = create_poll(question="Which?", options=["A", "B"])
    return Poll.objects.get(id=poll.id)


class WithHeaders(Protocol):
    """A response, of a view or of the test client."""

    @property
    def headers(self) -> Mapping[str, str]: ...


def directives(response: WithHeaders) -> dict[str, list[str]]:
    parts = [part.split() for part in response.headers[POLICY].split(";")]
    assert len({part[0] for part in parts}) == len(parts)
    return {name: sources for name, *sources in parts}


PAGES = ["/", "/new/", "/p/{code}/", "/p/{code}/live/", "/p/{code}/live/?embed=1",
         "/p/{code}/manage/"]  # fmt: skip
DOCUMENTS = [*PAGES, "/nothing/", "/api/docs/", "/api/docs/errors/", "/api/docs/live/"]
DATA = ["/api/nothing/", "/api/schema/", "/api/asyncapi.yaml", "/api/v1/limits/",
        "/api/v1/polls/{code}/", "/p/{code}/qr.svg", "/api/v1/polls/{code}/export/results.csv",
        "/scripts/vote.de.0.js", "/styles/vote.0.css"]  # fmt: skip


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_loads_and_runs_only_what_is_ours(client: Client, poll: Poll, path: str) -> None:
    policy = directives(client.get(path.format(code=poll.code)))
    assert policy["default-src"] == ["'self'"]
    assert policy["object-src"] == policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == policy["frame-ancestors"] == ["'self'"]
    assert "'unsafe-eval'" not in str(policy)
    assert "'unsafe-inline'" not in [*policy["default-src"], *policy.get("script-src", [])]


@pytest.mark.parametrize("path", DATA)
def test_what_is_no_page_may_do_nothing_when_it_is_opened(
    client: Client, poll: Poll, path: str
) -> None:
    policy = directives(client.get(path.format(code=poll.code)))
    assert policy["default-src"] == policy["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_connects_to_this_server_and_its_socket_alone(
    client: Client, poll: Poll, settings: Settings, path: str
) -> None:
    settings.ALLOWED_ORIGINS = ["https://example.org"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    path = path.format(code=poll.code)
    plain = client.get(path, headers={"Host": "localhost:8000"})
    assert directives(plain)["connect-src"] == ["'self'", "ws://localhost:8000"]
    secure = client.get(path, headers={"Host": "localhost", "X-Forwarded-Proto": "https"})
    assert directives(secure)["connect-src"] == ["'self'", "wss://localhost"]


def test_a_page_that_fails_has_the_policy_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    client.raise_request_exception = False
    monkeypatch.setattr("web.views.render", fail)
    response = client.get("/")
    assert response.status_code == 500
    assert directives(response)["default-src"] == ["'self'"]
    unknown = client.get("/", headers={"Host": "evil.example"})
    assert unknown.status_code == 400
    assert directives(unknown)["connect-src"] == ["'self'"]
    assert "<code>ALLOWED_HOSTS</code>" in unknown.content.decode()


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_every_html_answer_has_the_policy_with_any_status(rf: RequestFactory, status: int) -> None:
    answer = HttpResponse("<p>", status=status)
    response = ContentSecurityPolicy(lambda _: answer)(rf.get("/", headers={"Host": "localhost"}))
    assert directives(response)["frame-ancestors"] == ["'self'"]


def test_a_static_document_runs_nothing() -> None:
    for path in ("swagger-ui-dist/oauth2-redirect.html", "web/icon.svg", "web/icon.svg.gz"):
        headers: dict[str, str] = {}
        protect_files(headers, path, f"/static/{path}")
        assert "sandbox" in headers[POLICY]
        assert "default-src 'none'" in headers[POLICY]
    headers = {}
    protect_files(headers, "web/js/live.js", "/static/web/js/live.js")
    assert headers == {"X-Content-Type-Options": "nosniff"}


def test_nothing_is_listed_and_trace_echoes_nothing(client: Client) -> None:
    for folder in ("/static/", "/static/web/", "/static/web/js/"):
        assert client.get(folder).status_code == 404
    echo = client.trace("/", headers={"Cookie": "voter=secret"})
    assert echo.status_code == 405
    assert b"secret" not in echo.content


@pytest.mark.django_db
class TestUnderTLS:
    @pytest.fixture(autouse=True)
    def behind_a_proxy(self, settings: Settings) -> None:
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    def test_browsers_are_to_insist_on_https_for_a_year(self, client: Client) -> None:
        name = "Strict-Transport-Security"
        assert name not in client.get("/").headers
        secure = client.get("/", headers={"X-Forwarded-Proto": "https"})
        assert secure.headers[name] == "max-age=31536000"

    def answer(self, view: Callable[[HttpRequest], HttpResponse], **cookies: str) -> SimpleCookie:
        request = RequestFactory().get("/admin/", headers={"X-Forwarded-Proto": "https"})
        request.COOKIES = cookies
        return secure_admin_cookies(view)(request).cookies

    def test_sessions_and_csrf_have_host_cookies(self, settings: Settings) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            response = HttpResponse()
            for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
                response.set_cookie(
                    name, "v", path="/admin", domain="example.com", httponly=True,
                    samesite="Strict", max_age=60,
                )  # fmt: skip
            return response

        cookies = self.answer(view)
        assert set(cookies) == {
            f"__Host-{settings.SESSION_COOKIE_NAME}", f"__Host-{settings.CSRF_COOKIE_NAME}",
        }  # fmt: skip
        for cookie in cookies.values():
            assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
            assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (
                True, "Strict", 60,
            )  # fmt: skip

    def test_only_the_prefixed_cookie_is_read(self, settings: Settings) -> None:
        name = settings.SESSION_COOKIE_NAME
        seen: list[str | None] = []

        def view(request: HttpRequest) -> HttpResponse:
            seen.append(request.COOKIES.get(name))
            response = HttpResponse()
            response.delete_cookie(name, path="/admin")
            return response

        deleted = self.answer(view, **{name: "tossed", f"__Host-{name}": "own"})
        self.answer(view, **{name: "tossed"})
        assert seen == ["own", None]
        assert deleted[f"__Host-{name}"]["max-age"] == 0
