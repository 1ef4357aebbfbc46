"""What the tests of pages share: addresses, an API client of the site, the simplest vote."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from playwright.async_api import Page

from tests.e2e.harness import Site
from tests.poll_api import Json, PollApi

SCREEN: dict[str, Any] = {"viewport": {"width": 1920, "height": 1080}}


@asynccontextmanager
async def api_of(site: Site) -> AsyncIterator[PollApi]:
    """The site's API to a client that keeps no cookies."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    async with httpx.AsyncClient(base_url=site.url, trust_env=False, cookies=no_cookies) as http:
        yield PollApi(http)


def address(site: Site, poll: Json, page: str = "") -> str:
    return f"{site.url}/p/{poll['code']}/{page}"


async def vote_single(page: Page, text: str) -> None:
    await page.locator(".choice", has_text=text).click()
    await page.locator("#send").click()
