"""Accounts on the pages: voting where accounts vote, and owning polls from any browser."""

from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.conftest import PHONE, OpenPage, StartSite
from tests.e2e.harness import Site
from tests.e2e.pages import address, api_of, vote_single
from tests.poll_api import Json

PASSWORD = "correct horse 7"


@pytest.fixture
def site(start_site: StartSite) -> Site:
    return start_site("embedded")


async def sign_in(page: Page, button: str, *, name: str = "vera", password: str = PASSWORD) -> None:
    await page.fill("#account-username", name)
    await page.fill("#account-password", password)
    await page.click(f'.account-form button[value="{button}"]')


async def locked_out(route: Route) -> None:
    await route.fulfill(status=429, headers={"Retry-After": "700"}, json={"code": "rate_limited"})


async def account_poll(site: Site, **fields: Any) -> Json:
    async with api_of(site) as api:
        return await api.create(voter_policy="account", **fields)


async def results_of(site: Site, poll: Json) -> Json:
    async with api_of(site) as api:
        return await api.results(poll, authorization=f"Bearer {poll['owner_key']}")


async def test_a_new_account_votes_and_its_other_phone_knows(
    site: Site, open_page: OpenPage
) -> None:
    poll = await account_poll(site, results_visibility="after_vote")
    phone = await open_page(address(site, poll), **PHONE)
    await vote_single(phone, "Green")
    await expect(phone.locator("#ballot-error")).to_contain_text("sign in")
    await sign_in(phone, "new", password="short")
    await expect(phone.locator("#account-password-error")).to_have_text(
        "Use at least eight characters."
    )
    await sign_in(phone, "new")
    await expect(phone.locator(".account-who")).to_contain_text("vera")
    await vote_single(phone, "Green")
    await expect(phone.locator('#state[data-kind="counted"]')).to_be_visible()
    await expect(phone.locator("#voters")).to_contain_text("1")

    other = await open_page(address(site, poll), **PHONE)
    await sign_in(other, "enter", password="wrong horse 8")
    await expect(other.locator(".account-form [role=alert]")).to_contain_text("do not go together")
    await other.route("**/accounts/token/", locked_out)
    await sign_in(other, "enter")
    await expect(other.locator(".account-form [role=alert]")).to_contain_text("in 12 minutes")
    await other.unroute("**/accounts/token/")
    await sign_in(other, "enter")
    await expect(other.locator(".state-vote")).to_have_text("Green")
    await expect(other.locator("#voters")).to_contain_text("1")
    await other.click(".account-who button")
    await expect(other.locator("#ballot")).to_be_visible()
    assert (await results_of(site, poll))["version"] == 1


async def test_a_vote_by_account_whose_answer_is_lost_counts_once(
    site: Site, open_page: OpenPage
) -> None:
    poll = await account_poll(site)
    phone = await open_page(address(site, poll), **PHONE)
    await sign_in(phone, "new")
    await expect(phone.locator(".account-who")).to_be_visible()
    # A short token that ran out overnight is renewed with the long one.
    await phone.evaluate(
        """() => {
            const account = JSON.parse(localStorage["livepoll.account"]);
            account.access = `e30.${btoa('{"exp": 1}')}.x`;
            localStorage["livepoll.account"] = JSON.stringify(account);
        }"""
    )

    async def lose_the_answer(route: Any) -> None:
        await route.fetch()
        await route.abort("connectionreset")

    await phone.route("**/votes/", lose_the_answer, times=1)
    await vote_single(phone, "Red")
    await expect(phone.locator('#state[data-kind="waiting"]')).to_be_visible()
    await expect(phone.locator('#state[data-kind="counted"]')).to_be_visible(timeout=15_000)
    assert (await results_of(site, poll))["version"] == 1


async def test_a_poll_kept_in_an_account_is_managed_wherever_one_signs_in(
    site: Site, open_page: OpenPage
) -> None:
    maker = await open_page(f"{site.url}/new/")
    await maker.click("#own-sign-in")
    await sign_in(maker, "new")
    await expect(maker.locator("#own-text")).to_contain_text("vera")
    await maker.fill("#question", "Which?")
    for number, text in enumerate(("This", "That")):
        await maker.locator("#options input").nth(number).fill(text)
    await maker.click("#submit")
    code = await maker.locator(".share-code .code").inner_text()
    await expect(maker.locator(".is-secret")).to_have_count(0)

    elsewhere = await open_page(f"{site.url}/p/{code}/manage/")
    await expect(elsewhere.locator("#owner")).to_be_hidden()
    await sign_in(elsewhere, "enter")
    await elsewhere.click('[data-verb="pause"]')
    await expect(elsewhere.locator('#status[data-status="paused"]')).to_be_visible()
