"""The admin as staff and strangers meet it: real processes with ADMIN=on."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import OpenPage
from tests.e2e.harness import QUICK_PASSWORDS, Site, manage, site_env
from tests.poll_api import Json, owner_headers

PASSWORD = "correct horse 7"
POLLS = "/admin/polls/poll/"
CODES = "/admin/polls/votercode/"
ON = {"ADMIN": "on", "TRUSTED_PROXIES": "1", "RATE_LIMITS": "on", "RATE_ACCOUNTS": "12/hour"}


@dataclass(frozen=True, slots=True)
class Office:
    """A site with its admin, one poll with hidden results, a vote and two codes in it."""

    site: Site
    database: Path
    poll: Json
    codes: list[str]

    def ask(self, query: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()

    def secrets(self) -> set[str]:
        """All that stands in the database, or was given out, and no page may show."""
        [(key_hash,)] = self.ask("SELECT owner_key_hash FROM polls_poll")
        voters = self.ask("SELECT voter FROM polls_vote UNION SELECT voter FROM polls_votercode")
        passwords = self.ask("SELECT password FROM auth_user")
        assert len(voters) == 2
        assert len(passwords) == 3
        return {
            key_hash, self.poll["owner_key"], *self.codes, *(row[0] for row in passwords),
            *(form for (voter,) in voters for form in (voter, f"{voter[:8]}-{voter[8:12]}-")),
        }  # fmt: skip

    def contents(self) -> list[object]:
        """Every row of what the admin shows and of what it must not touch."""
        tables = ("polls_poll", "polls_option", "polls_vote", "polls_votercode", "auth_user")
        # A sign-in writes its time; nothing else of an account may change.
        columns = {"auth_user": "id, username, password, is_staff, is_superuser"}
        return [self.ask(f"SELECT {columns.get(t, '*')} FROM {t}") for t in tables]  # noqa: S608


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    database = folder / "site.sqlite3"
    env = site_env(database_url=f"sqlite:///{database}") | ON
    manage("migrate", "--verbosity=0", env=env, log=folder / "migrate.log")
    superuser = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    manage(
        *("createsuperuser", "--no-input", "--username", "boss", "--email", "boss@example.com"),
        env=env | superuser,
        log=folder / "createsuperuser.log",
    )
    with (
        Site(folder, database_url=f"sqlite:///{database}", env=ON, app=QUICK_PASSWORDS) as site,
        httpx.Client(base_url=site.url, trust_env=False, timeout=20) as http,
    ):
        for name in ("clerk", "stranger"):
            account = {"username": name, "password": PASSWORD}
            http.post("/api/v1/accounts/", json=account).raise_for_status()
        fields = {"voter_policy": "code", "results_visibility": "owner", "listed": False}
        body = {"question": "Soup or <b>salad</b>?", "options": ["Minestrone", "Caesar"]}
        poll: Json = http.post("/api/v1/polls/", json=body | fields).raise_for_status().json()
        path = f"/api/v1/polls/{poll['id']}"
        made = http.post(f"{path}/voter-codes/", json={"count": 2}, headers=owner_headers(poll))
        codes = [one["code"] for one in made.raise_for_status().json()["codes"]]
        vote = {"choices": [1], "voter_code": codes[0]}
        http.post(f"{path}/votes/", json=vote).raise_for_status()
        office = Office(site, database, poll, codes)
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE auth_user SET is_staff = 1 WHERE username = 'clerk'")
        yield office


@contextmanager
def visitor(office: Office, address: str = "192.0.2.1", **headers: str) -> Iterator[httpx.Client]:
    named = {"X-Forwarded-For": address} | headers
    with httpx.Client(
        base_url=office.site.url, trust_env=False, timeout=20, headers=named
    ) as client:
        yield client


def sign_in(client: httpx.Client, username: str, password: str = PASSWORD) -> httpx.Response:
    client.get("/admin/login/").raise_for_status()
    form = {"username": username, "password": password, "next": "/admin/"}
    return submit(client, "/admin/login/", form)


def submit(client: httpx.Client, path: str, form: dict[str, str]) -> httpx.Response:
    token = client.cookies.get("admin_csrf", "")
    return client.post(path, data=form | {"csrfmiddlewaretoken": token})


STAFF = ("boss", "clerk")


@pytest.fixture(scope="module")
def sessions(office: Office) -> dict[str, httpx.Cookies]:
    """Signed in once: a password takes half a second to check."""
    kept = {}
    for name in STAFF:
        with visitor(office, address="192.0.2.10") as client:
            assert sign_in(client, name).status_code == 302
            kept[name] = client.cookies
    return kept


@pytest.fixture(params=STAFF)
def staff(
    request: pytest.FixtureRequest, office: Office, sessions: dict[str, httpx.Cookies]
) -> Iterator[httpx.Client]:
    """A superuser, and an account that is staff and no more."""
    with visitor(office, address=f"192.0.2.1{len(request.param)}") as client:
        client.cookies.update(sessions[request.param])
        yield client


# Who gets in


@pytest.mark.parametrize("path", ["/admin/", "/admin", POLLS, CODES, "/admin/jsi18n/"])
def test_nobody_sees_anything_before_signing_in(office: Office, path: str) -> None:
    with visitor(office) as client:
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/admin/login/?next=/admin/")


@pytest.mark.parametrize(
    ("username", "password"), [("stranger", PASSWORD), ("boss", "wrong"), ("nobody", PASSWORD)]
)
def test_only_staff_gets_in(office: Office, username: str, password: str) -> None:
    with visitor(office, address="192.0.2.20") as client:
        answer = sign_in(client, username, password)
        assert answer.status_code == 200
        assert "for a staff account" in answer.text
        assert client.get(POLLS).status_code == 302


def test_guessing_passwords_is_limited_together_with_the_accounts(office: Office) -> None:
    with visitor(office, address="192.0.2.30") as client:
        guess = {"username": "boss", "password": "guess"}
        for _ in range(6):
            assert client.post("/api/v1/accounts/token/", json=guess).status_code == 401
        answers = [sign_in(client, "boss", "guess").status_code for _ in range(7)]
        assert answers == [200] * 6 + [429]


def test_a_form_without_its_token_or_from_another_origin_is_refused(office: Office) -> None:
    form = {"username": "boss", "password": PASSWORD}
    with visitor(office) as client:
        client.get("/admin/login/")
        assert client.post("/admin/login/", data=form).status_code == 403
        client.headers["Origin"] = "https://evil.example"
        assert submit(client, "/admin/login/", form).status_code == 403
        assert client.get(POLLS).status_code == 302


@pytest.mark.parametrize("path", ["nothing", "nothing/", "polls/x/nothing", "v1"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_an_unknown_path_of_the_api_is_not_found_by_any_method(
    office: Office, path: str, method: str
) -> None:
    with visitor(office) as client:
        answer = client.request(method, f"/api/v1/{path}", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert client.request(method, "/new/").status_code == 405


def test_its_cookies_are_shut_in_and_secure_where_the_proxy_says_https(office: Office) -> None:
    for scheme, is_secure in (("https", True), ("http", False)):
        named = {"X-Forwarded-Proto": scheme}
        with visitor(office, address="192.0.2.40", **named) as client:
            prefix, path = ("__Host-", "Path=/") if is_secure else ("", "Path=/admin")
            page = client.get("/admin/login/")
            token = client.cookies[f"{prefix}admin_csrf"]
            referer = {"Referer": str(page.url).replace("http:", f"{scheme}:")}
            answer = client.post(
                "/admin/login/",
                data={"username": "boss", "password": PASSWORD, "csrfmiddlewaretoken": token},
                # A Secure cookie is not sent back over the test's plain http.
                headers={"Cookie": f"{prefix}admin_csrf={token}", **referer},
            )
            assert answer.status_code == 302
            set_ = answer.headers.get_list("Set-Cookie")
            names = {f"{prefix}admin_session", f"{prefix}admin_csrf"}
            assert {one.partition("=")[0] for one in set_} == names
            for cookie in set_:
                parts = {part.strip() for part in cookie.split(";")}
                assert {"HttpOnly", "SameSite=Strict", path} <= parts
                assert ("Secure" in parts) is is_secure


def test_over_https_a_cookie_that_plain_http_could_set_counts_for_nothing(office: Office) -> None:
    with visitor(office, address="192.0.2.41", **{"X-Forwarded-Proto": "https"}) as client:
        page = client.get("/admin/login/")
        token = client.cookies["__Host-admin_csrf"]
        answer = client.post(
            "/admin/login/",
            data={"username": "boss", "password": PASSWORD, "csrfmiddlewaretoken": token},
            headers={
                "Cookie": f"admin_csrf={token}",
                "Referer": str(page.url).replace("http:", "https:"),
            },
        )
        assert answer.status_code == 403


def test_no_other_page_has_a_session(staff: httpx.Client, office: Office) -> None:
    for path in ("/", f"/p/{office.poll['code']}/", "/api/v1/limits/", "/api/docs/"):
        answer = staff.get(path)
        assert answer.status_code == 200
        given = [cookie.partition("=")[0] for cookie in answer.headers.get_list("Set-Cookie")]
        assert given == (["voter"] if path.startswith("/p/") else [])
        assert "Cookie" not in answer.headers.get("Vary", "")


# What is shown


def test_staff_see_the_polls_and_their_codes_by_number(staff: httpx.Client, office: Office) -> None:
    listing = staff.get(POLLS)
    assert listing.status_code == 200
    assert office.poll["code"] in listing.text
    assert "Soup or &lt;b&gt;salad&lt;/b&gt;?" in listing.text
    page = staff.get(f"{POLLS}{office.poll['id']}/change/")
    assert page.status_code == 200
    assert "Minestrone" in page.text
    assert "2 made, 0 revoked" in page.text
    codes = staff.get(CODES, params={"q": office.poll["code"]})
    assert codes.text.count("valid</td>") == 2
    assert "valid</td>" not in staff.get(CODES, params={"q": "ZZZZZZ"}).text


def crawl(client: httpx.Client) -> dict[str, httpx.Response]:
    """Every page that the admin leads to, lists unfiltered."""
    found: dict[str, httpx.Response] = {}
    waiting = ["/admin/", "/admin/polls/"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = answer = client.get(path, follow_redirects=True)
        for link in re.findall(r'href="([^"]+)"', answer.text):
            target = answer.url.join(link)
            if target.host == answer.url.host and target.path.startswith("/admin/"):
                waiting.append(target.path)
    return found


def test_no_page_shows_a_key_a_voter_a_password_or_a_tally(
    staff: httpx.Client, office: Office
) -> None:
    pages = crawl(staff)
    assert {POLLS, CODES, f"{POLLS}{office.poll['id']}/change/"} <= set(pages)
    assert {page.status_code for page in pages.values()} == {200}
    for path, page in pages.items():
        assert [secret for secret in office.secrets() if secret in page.text] == [], path
        fields = set(re.findall(r"\bfield-(\w+)", page.text))
        hidden = {"counts", "stars", "votes", "voters", "version", "voter", "owner_key_hash"}
        assert fields & hidden == set(), path


@pytest.mark.parametrize(
    ("path", "lookup"),
    [
        (POLLS, "owner_key_hash__startswith"),
        (POLLS, "version__gt"),
        (POLLS, "voters"),
        (POLLS, "owner__password__startswith"),
        (POLLS, "kind__startswith"),
        (POLLS, "voter_codes__voter__startswith"),
        (CODES, "voter__startswith"),
        (CODES, "poll__counts__contains"),
        (CODES, "poll__owner_key_hash__startswith"),
    ],
)
def test_no_filter_reveals_by_its_matches_what_is_not_shown(
    staff: httpx.Client, path: str, lookup: str
) -> None:
    assert staff.get(path, params={lookup: "0"}).status_code == 400


def test_the_filters_that_are_offered_work(staff: httpx.Client, office: Office) -> None:
    code = office.poll["code"]
    assert code in staff.get(POLLS, params={"voter_policy__exact": "code"}).text
    assert code in staff.get(POLLS, params={"listed__exact": "0"}).text
    assert code not in staff.get(POLLS, params={"kind__exact": "ranked"}).text
    assert code in staff.get(POLLS, params={"q": "salad"}).text


# What is not done


def test_nothing_can_be_added_changed_or_deleted(staff: httpx.Client, office: Office) -> None:
    before = office.contents()
    poll = f"{POLLS}{office.poll['id']}"
    [(code,)] = office.ask("SELECT MIN(id) FROM polls_votercode")
    pages = [f"{POLLS}add/", f"{poll}/change/", f"{poll}/delete/"]
    pages += [f"{CODES}add/", f"{CODES}{code}/change/", f"{CODES}{code}/delete/"]
    form = {"question": "Mine now", "options-TOTAL_FORMS": "0", "post": "yes", "revoked_at_0": "1"}
    for path in pages:
        assert submit(staff, path, form).status_code == 403, path
        assert path.endswith("/change/") or staff.get(path).status_code == 403, path
    delete = {"action": "delete_selected", "_selected_action": office.poll["id"], "post": "yes"}
    submit(staff, POLLS, delete)
    for method in ("PUT", "PATCH", "DELETE"):
        staff.request(method, f"{poll}/change/")
    assert office.contents() == before


@pytest.mark.parametrize("model", ["polls/vote", "polls/option", "auth/user", "auth/group"])
def test_votes_and_accounts_have_no_page(staff: httpx.Client, model: str) -> None:
    assert staff.get(f"/admin/{model}/").status_code == 404


# Under the site's policy


async def test_its_pages_keep_to_the_content_security_policy(
    office: Office, open_page: OpenPage
) -> None:
    page = await open_page(
        f"{office.site.url}/admin/", extra_http_headers={"X-Forwarded-For": "192.0.2.50"}
    )
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.text} {message.location}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    await page.reload()
    await page.fill("[name=username]", "boss")
    await page.fill("[name=password]", PASSWORD)
    await page.click("[type=submit]")
    poll = f"{POLLS}{office.poll['id']}"
    for path in ("/admin/", POLLS, f"{poll}/change/", f"{poll}/history/", CODES):
        response = await page.goto(f"{office.site.url}{path}")
        assert response is not None
        assert response.status == 200
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        await page.wait_for_load_state("networkidle")
    await page.click(".theme-toggle >> visible=true")  # its script runs
    assert await page.get_attribute("html", "data-theme") in ("light", "dark")
    assert [line for line in said if "/favicon.ico" not in line] == []  # Django's has no icon
