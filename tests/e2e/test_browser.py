"""The whole way in a real browser: made on a page, voted on a phone, moved on a big screen."""

import asyncio
import re
from collections.abc import Sequence

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.conftest import PHONE, OpenPage, SiteBackend, StartSite
from tests.e2e.harness import Server, Site
from tests.sizes import sized

SITES = [
    pytest.param("servers", ["uvicorn", "uvicorn"], marks=pytest.mark.servers, id="uvicorn x2"),
    *sized(short=[], long=[pytest.param("embedded", ["uvicorn"], id="uvicorn embedded")]),
    pytest.param("embedded", ["daphne"], id="daphne embedded"),
]


async def create_poll(page: Page) -> str:
    """Make a poll of tea and coffee on the create page; its join code."""
    await page.get_by_label("Your question").fill("Tea or coffee?")
    await page.get_by_label("Option 1", exact=True).fill("Tea")
    await page.get_by_label("Option 2", exact=True).fill("Coffee")
    await page.get_by_role("button", name="Create the poll").click()
    await expect(page.get_by_role("heading", name="Your poll is ready.")).to_be_visible()
    return await page.locator(".share-code .code").inner_text()


def bar(page: Page, option: str) -> Locator:
    return page.locator(".bar", has=page.locator(".bar-label", has_text=re.compile(f"^{option}$")))


async def bar_comes_to(page: Page, option: str, share: float) -> None:
    """The bar slides until it covers this share of its track, 0 to 1."""
    covered = -1.0
    try:
        async with asyncio.timeout(5):
            while abs(covered - share) > 0.01:
                track = await bar(page, option).locator(".bar-track").bounding_box()
                fill = await bar(page, option).locator(".bar-fill").bounding_box()
                assert track
                assert fill
                covered = (fill["x"] + fill["width"] - track["x"]) / track["width"]
    except TimeoutError:
        raise AssertionError(f"{option} stands at {covered}, not {share}") from None


async def vote(open_page: OpenPage, site: Site, code: str, option: str) -> Page:
    """Vote on the first process, on a phone of its own."""
    phone = await open_page(f"{site[0].url}/p/{code}/", **PHONE)
    await phone.get_by_role("radio", name=option).check(force=True)
    await phone.get_by_role("button", name="Vote", exact=True).click()
    await expect(phone.locator("#results")).to_be_visible()
    return phone


@pytest.mark.parametrize(("backend", "servers"), SITES)
async def test_a_vote_on_a_phone_moves_the_bar_on_the_big_screen(
    start_site: StartSite, open_page: OpenPage, backend: SiteBackend, servers: Sequence[Server]
) -> None:
    site = start_site(backend, server=servers)
    maker = await open_page(f"{site.url}/new/")
    code = await create_poll(maker)
    screen = await open_page(f"{site.processes[-1].url}/p/{code}/live/")
    await expect(bar(screen, "Coffee")).to_contain_text("0 votes")
    await bar_comes_to(screen, "Coffee", 0)

    phone = await vote(open_page, site, code, "Coffee")
    await expect(bar(screen, "Coffee")).to_contain_text("1 vote")
    await expect(bar(screen, "Coffee")).to_contain_text("100")
    await expect(bar(screen, "Tea")).to_contain_text("0 votes")
    await bar_comes_to(screen, "Coffee", 1)

    await vote(open_page, site, code, "Tea")
    await expect(bar(screen, "Tea")).to_contain_text("1 vote")
    await expect(bar(phone, "Tea")).to_contain_text("1 vote")
    for option in ("Tea", "Coffee"):
        await bar_comes_to(screen, option, 0.5)

    await phone.reload()
    await expect(phone.locator("#ballot")).to_be_hidden()
    await expect(bar(phone, "Coffee")).to_contain_text("1 vote")
