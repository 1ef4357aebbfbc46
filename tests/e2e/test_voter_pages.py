"""The vote page as a voter: whose receipt it shows, and where it keeps the voter token."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import PHONE, OpenPage
from tests.e2e.harness import Site
from tests.e2e.pages import address, api_of, vote_single
from tests.poll_api import Json, owner_headers

STORED = "() => Object.keys(localStorage).filter((name) => localStorage[name].includes('.'))"


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


async def code_poll(site: Site, count: int) -> tuple[Json, list[str]]:
    async with api_of(site) as api:
        poll = await api.create(voter_policy="code")
        path = f"/api/v1/polls/{poll['id']}/voter-codes/"
        made = await api.http.post(path, json={"count": count}, headers=owner_headers(poll))
        return poll, [one["code"] for one in made.json()["codes"]]


async def counts(site: Site, poll: Json) -> list[int]:
    async with api_of(site) as api:
        return list((await api.results(poll))["counts"].values())


async def go_to(page: Page, url: str) -> None:
    await page.goto("about:blank")  # else only the fragment would change
    await page.goto(url)


async def test_a_receipt_is_not_shown_to_the_next_person(site: Site, open_page: OpenPage) -> None:
    """One phone is passed around; each has a code of their own."""
    poll, [first, second, third] = await code_poll(site, 3)
    phone = await open_page(f"{address(site, poll)}#code={first}", **PHONE)
    await vote_single(phone, "Green")
    await expect(phone.locator(".state-vote")).to_have_text("Green")

    await go_to(phone, f"{address(site, poll)}#code={second}")
    await expect(phone.locator("#ballot")).to_be_visible()
    await vote_single(phone, "Red")
    await expect(phone.locator(".state-vote")).to_have_text("Red")

    await phone.get_by_role("button", name="Use another code").click()
    await expect(phone.locator("#ballot")).to_be_visible()
    await phone.fill("#voter-code", third)
    await vote_single(phone, "Blue")
    await expect(phone.locator(".state-vote")).to_have_text("Blue")

    await go_to(phone, f"{address(site, poll)}#code={first}")
    await expect(phone.locator(".state-vote")).to_have_text("Green")
    assert await counts(site, poll) == [1, 1, 1]


async def test_a_used_code_shows_its_vote_to_no_other_phone(
    site: Site, open_page: OpenPage
) -> None:
    poll, [code] = await code_poll(site, 1)
    phone = await open_page(f"{address(site, poll)}#code={code}", **PHONE)
    await vote_single(phone, "Green")
    await expect(phone.locator(".state-vote")).to_have_text("Green")
    other = await open_page(f"{address(site, poll)}#code={code}", **PHONE)
    await vote_single(other, "Green")
    await expect(other.locator("#ballot-error")).to_contain_text("by this code")
    await expect(other.locator(".state-vote")).to_have_count(0)
    assert await counts(site, poll) == [0, 1, 0]


async def test_a_vote_by_code_whose_answer_is_lost_counts_once(
    site: Site, open_page: OpenPage
) -> None:
    poll, [code] = await code_poll(site, 1)
    phone = await open_page(f"{address(site, poll)}#code={code}", **PHONE)

    async def lose_the_answer(route: Any) -> None:
        await route.fetch()
        await route.abort("connectionreset")

    await phone.route("**/votes/", lose_the_answer, times=1)
    await vote_single(phone, "Red")
    await expect(phone.locator('#state[data-kind="counted"]')).to_be_visible(timeout=15_000)
    assert await counts(site, poll) == [1, 0, 0]


async def test_the_token_is_in_a_cookie_that_no_script_reads(
    site: Site, open_page: OpenPage
) -> None:
    async with api_of(site) as api:
        poll = await api.create(vote_change=True, results_visibility="after_vote")
    phone = await open_page(address(site, poll), **PHONE)
    await vote_single(phone, "Green")
    await expect(phone.locator("#voters")).to_contain_text("1")
    assert await phone.evaluate("document.cookie") == ""
    assert "livepoll.voter" not in await phone.evaluate(STORED)
    [cookie] = await phone.context.cookies()
    assert (cookie["name"], cookie["httpOnly"]) == ("voter", True)
    await phone.reload()
    await expect(phone.locator(".state-vote")).to_have_text("Green")
    await phone.get_by_role("button", name="Take it back").click()
    await expect(phone.locator("#ballot")).to_be_visible()


async def test_a_token_that_older_pages_kept_is_handed_over(
    site: Site, open_page: OpenPage
) -> None:
    async with api_of(site) as api:
        poll = await api.create()
        token = (await api.vote(poll, 2, voter="of an older page"))["voter_token"]
    phone = await open_page(f"{site.url}/", **PHONE)
    await phone.evaluate(
        "(token) => { localStorage['livepoll.voter'] = JSON.stringify(token); }", token
    )
    await phone.goto(address(site, poll))
    await expect(phone.locator(".state-vote")).to_have_text("Green")
    assert await phone.evaluate("localStorage['livepoll.voter']") is None
    assert [one["value"] for one in await phone.context.cookies()] == [token]
