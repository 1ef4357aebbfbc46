"""What an owner and a hall see besides the votes: who watches, votes over time, frames, copies."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import OpenPage, StartSite
from tests.e2e.harness import Site
from tests.e2e.pages import SCREEN, address, api_of
from tests.poll_api import Json


def manage(poll: Json) -> str:
    return f"manage/#key={poll['owner_key']}"


@pytest.mark.servers
async def test_the_screen_counts_who_watches_over_all_processes(
    start_site: StartSite, open_page: OpenPage
) -> None:
    site = start_site("servers", processes=2, env={"RECONCILE_INTERVAL_MS": "300"})
    async with api_of(site) as api:
        poll = await api.create()
    first = await open_page(f"{site[0].url}/p/{poll['code']}/live/", **SCREEN)
    await expect(first.locator("#watching")).to_have_text("1")
    second = await open_page(f"{site[1].url}/p/{poll['code']}/live/", **SCREEN)
    for screen in (first, second):
        await expect(screen.locator("#watching")).to_have_text("2", timeout=15_000)
    await second.close()
    await expect(first.locator("#watching")).to_have_text("1", timeout=15_000)


async def test_the_line_of_votes_begins_at_the_first_one_not_when_the_screen_was_opened(
    shared_site: Site, open_page: OpenPage
) -> None:
    async with api_of(shared_site) as api:
        poll = await api.create()
        for number in range(3):
            await api.vote(poll, 1, voter=f"voter {number}")
        screen = await open_page(address(shared_site, poll, "live/"), **SCREEN)
        await expect(screen.locator(".timeline-text")).to_contain_text("3 votes since")
        await api.vote(poll, 2, voter="another")
        await expect(screen.locator(".timeline-text")).to_contain_text("4 votes since")
        await api.act(poll, "reset")
        await expect(screen.locator(".timeline-line")).to_be_hidden()


@contextmanager
def serving(html: str) -> Iterator[int]:
    """The port of another site, on which every page is `html`."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


async def test_a_frame_is_shown_on_the_sites_that_the_owner_names_and_on_no_other(
    shared_site: Site, open_page: OpenPage
) -> None:
    async with api_of(shared_site) as api:
        poll = await api.create()
    owner = await open_page(address(shared_site, poll, manage(poll)))
    snippet = await owner.locator("#embed input").first.input_value()
    assert snippet.startswith(f'<iframe src="{address(shared_site, poll, "live/")}?embed=1"')
    with serving(snippet) as port:
        friend, stranger = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        await owner.fill("#embed-embed_origins", "friend.example")
        await owner.click("#embed-form button")
        await expect(owner.locator("#embed-embed_origins-error")).to_contain_text("https://")
        await owner.fill("#embed-embed_origins", friend)
        await owner.click("#embed-form button")
        await expect(owner.locator("#embed-saved")).to_have_text("Saved")
        shown = await open_page(friend)
        await expect(shown.frame_locator("iframe").locator(".bar")).to_have_count(3)
        refused = await open_page("about:blank")
        why: list[str] = []
        refused.on("console", lambda message: why.append(message.text))
        await refused.goto(stranger)
        await expect(refused.frame_locator("iframe").locator("#question")).to_have_count(0)
        assert "frame-ancestors" in "".join(why)
        for page in (shown, refused):
            await page.close()


async def test_a_copy_is_a_draft_of_its_own(shared_site: Site, open_page: OpenPage) -> None:
    async with api_of(shared_site) as api:
        poll = await api.create(question="Once more?")
        await api.vote(poll, 1, voter="someone")
        await api.act(poll, "reset")
        await api.vote(poll, 1, voter="someone")
    owner = await open_page(address(shared_site, poll, manage(poll)))
    await expect(owner.locator("#history")).to_contain_text("First vote since the last reset")
    await owner.click('[data-verb="clone"]')
    await expect(owner.locator('#status[data-status="draft"]')).to_be_visible()
    assert poll["code"] not in owner.url
    await expect(owner.locator("#question")).to_have_text("Once more?")
    await owner.click('[data-verb="open"]')
    await expect(owner.locator('#status[data-status="open"]')).to_be_visible()


async def test_the_start_page_shows_who_leads(start_site: StartSite, open_page: OpenPage) -> None:
    site = start_site("embedded")
    async with api_of(site) as api:
        poll = await api.create(options=["A", "B", "C", "D", "E"], voter_policy="open")
        for number, choice in enumerate((4, 4, 4, 2, 2, 5)):
            await api.vote(poll, choice, voter=f"voter {number}")
        start = await open_page(f"{site.url}/")
        names = start.locator(".mini-name")
        await expect(names).to_have_text(["D", "B", "E"])
        for number in range(9):
            await api.vote(poll, 5, voter=f"late {number}")
        await expect(names).to_have_text(["E", "D", "B"])


async def test_a_sheet_of_voter_codes_opens_with_its_style_and_its_numbers(
    shared_site: Site, open_page: OpenPage
) -> None:
    async with api_of(shared_site) as api:
        poll = await api.create(voter_policy="code")
    page = await open_page(address(shared_site, poll, manage(poll)))
    await page.fill("#codes-count", "2")
    await page.click('#codes button[value="sheet"]')
    async with page.expect_popup() as opened:
        await page.click('#codes-made a[target="_blank"]')
    sheet = await opened.value
    await expect(sheet.locator("li").first).to_have_css("text-align", "center")
    await expect(sheet.locator("li small")).to_have_text(["#1", "#2"])
    await expect(sheet.locator("li").first).to_have_text(re.compile(r"[\w-]+ #1$"))
