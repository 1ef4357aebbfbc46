"""People and pages in a real Chromium against a real server: the stories that must work."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, Response, WebSocket, expect

from tests.e2e.conftest import PHONE, OpenPage
from tests.e2e.harness import Site
from tests.e2e.pages import SCREEN, address, api_of, vote_single
from tests.poll_api import PollApi

EVENT_DEADLINE_MS = 2000


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


@pytest_asyncio.fixture(loop_scope="session")
async def api(site: Site) -> AsyncIterator[PollApi]:
    async with api_of(site) as api:
        yield api


class TestTheWholeStory:
    """Create, share, three phones vote, the big screen follows, one changes, the owner closes."""

    @pytest.mark.parametrize(
        ("kind", "language"),
        [("single", "de"), ("multiple", "ar"), ("ranked", "ar"), ("rating", "de")],
    )
    async def test_from_creating_to_the_final_result(
        self, site: Site, open_page: OpenPage, kind: str, language: str
    ) -> None:
        owner = await open_page(f"{site.url}/new/", locale=language)
        await owner.fill("#question", "Which fruit?")
        await owner.check(f'[name="kind"][value="{kind}"]', force=True)
        inputs = owner.locator("#options input")
        await inputs.nth(0).fill("Apple")
        await inputs.nth(0).press("Enter")
        await inputs.nth(1).fill("Pear")
        await owner.click("#add-option")
        await inputs.nth(2).fill("Plum")
        await owner.check("#vote_change")
        await owner.click("#submit")
        code = await owner.locator(".code").inner_text()
        await expect(owner.locator(".share img.qr")).to_be_visible()

        screen = await open_page(f"{site.url}/p/{code}/live/", locale=language, **SCREEN)
        await expect(screen.locator(".bar")).to_have_count(3)
        phones = [
            await open_page(f"{site.url}/p/{code}/", locale=language, **PHONE) for _ in range(3)
        ]
        for phone, fruit in zip(phones, ["Apple", "Apple", "Pear"], strict=True):
            await self.mark(phone, kind, fruit)
            await phone.click("#send")
            await expect(phone.locator('#state[data-kind="counted"]')).to_be_visible()
            await expect(phone.locator(".state-vote")).to_contain_text(fruit)
        await expect(screen.locator("#voters")).to_have_text("3")

        await phones[0].locator("#state button").first.click()
        if kind != "single":
            await self.mark(phones[0], kind, "Apple", take_out=True)
        await self.mark(phones[0], kind, "Plum")
        await phones[0].click("#send")
        await expect(phones[0].locator(".state-vote")).to_contain_text("Plum")
        await expect(screen.locator("#voters")).to_have_text("3")

        await owner.goto(f"{site.url}/p/{code}/manage/")
        await owner.click('[data-verb="close"]')
        await expect(screen.locator('#status[data-status="closed"]')).to_be_visible()
        for phone in phones:
            await expect(phone.locator('#state[data-kind="closed"]')).to_be_visible()
            await expect(phone.locator(".bar-won:not([hidden])").first).to_be_visible()

    async def mark(self, phone: Page, kind: str, fruit: str, *, take_out: bool = False) -> None:
        if kind == "rating":
            row = phone.locator(".stars", has_text=fruit)
            await row.locator(".star").nth(0 if take_out else 4).click()
        elif kind == "ranked":
            await phone.locator(".rank-toggle", has_text=fruit).click()
        else:
            await phone.locator(".choice", has_text=fruit).click()


async def test_a_vote_is_shown_again_after_a_reload_and_not_asked_for_twice(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    phone = await open_page(address(site, await api.create()), **PHONE)
    await vote_single(phone, "Green")
    await expect(phone.locator(".state-vote")).to_have_text("Green")
    await phone.reload()
    await expect(phone.locator(".state-vote")).to_have_text("Green")
    await expect(phone.locator("#ballot")).to_be_hidden()


async def test_a_vote_cast_offline_is_kept_and_counts_once(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create()
    phone = await open_page(address(site, poll), **PHONE)
    await expect(phone.locator('#connection[data-state="live"]')).to_be_visible()
    await phone.context.set_offline(True)
    await vote_single(phone, "Blue")
    await expect(phone.locator('#state[data-kind="waiting"]')).to_be_visible()
    await phone.context.set_offline(False)
    await expect(phone.locator('#state[data-kind="counted"]')).to_be_visible(
        timeout=EVENT_DEADLINE_MS
    )
    results = await api.results(poll)
    assert (results["version"], results["counts"]["3"]) == (1, 1)


async def test_a_vote_whose_answer_is_lost_counts_once(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create()
    phone = await open_page(address(site, poll), **PHONE)
    lost = 0

    async def lose_the_answer(route: Any) -> None:
        nonlocal lost
        lost += 1
        await route.fetch()
        await route.abort("connectionreset")

    await phone.route("**/votes/", lose_the_answer, times=2)
    await vote_single(phone, "Red")
    await expect(phone.locator('#state[data-kind="waiting"]')).to_be_visible()
    await expect(phone.locator('#state[data-kind="counted"]')).to_be_visible(timeout=15_000)
    assert lost == 2
    assert (await api.results(poll))["version"] == 1


async def test_screens_come_back_by_themselves_after_the_server_was_killed(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create()
    screen = await open_page(address(site, poll, "live/"), **SCREEN)
    connection = screen.locator("#connection")
    await expect(connection).to_have_attribute("data-state", "live")
    site[0].kill()
    await expect(connection).to_have_attribute("data-state", "reconnecting")
    site[0].start()
    await api.vote(poll, 1, voter="someone")
    await expect(screen.locator("#voters")).to_have_text("1", timeout=25_000)
    await expect(connection).to_have_attribute("data-state", "live", timeout=25_000)


async def test_a_page_that_was_offline_is_right_within_two_seconds(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create()
    screen = await open_page(address(site, poll, "live/"), **SCREEN)
    await expect(screen.locator('#connection[data-state="live"]')).to_be_visible()
    await screen.context.set_offline(True)
    await expect(screen.locator('#connection[data-state="offline"]')).to_be_visible()
    await api.vote(poll, 1, voter="someone")
    await screen.context.set_offline(False)
    await expect(screen.locator("#voters")).to_have_text("1", timeout=EVENT_DEADLINE_MS)


async def test_without_sockets_results_are_read_every_few_seconds_with_etags(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create()
    screen = await open_page("about:blank", **SCREEN)
    await screen.route_web_socket("**/ws/**", lambda socket: socket.close(code=1011))
    statuses: list[int] = []
    screen.on(
        "response",
        lambda answer: statuses.append(answer.status) if "results" in answer.url else None,
    )
    await screen.goto(address(site, poll, "live/"))
    await expect(screen.locator('#connection[data-state="polling"]')).to_be_visible(timeout=10_000)
    await api.vote(poll, 2, voter="someone")
    await expect(screen.locator("#voters")).to_have_text("1", timeout=8_000)
    deadline = time.monotonic() + 12
    while 304 not in statuses:
        assert time.monotonic() < deadline, statuses
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("visibility", ["after_vote", "after_close", "owner"])
async def test_hidden_results_reach_neither_the_page_nor_the_network(
    site: Site, api: PollApi, open_page: OpenPage, visibility: str
) -> None:
    poll = await api.create(results_visibility=visibility)
    for number in range(7):
        await api.vote(poll, 1 if number < 5 else 2, voter=f"voter {number}")
    heard: list[str] = []

    async def listen(response: Response) -> None:
        if "/api/" in response.url:
            heard.append(await response.text())

    def listen_to(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: heard.append(str(frame)))

    for name in ("", "live/"):
        page = await open_page("about:blank", **SCREEN)
        page.on("response", listen)
        page.on("websocket", listen_to)
        await page.goto(address(site, poll, name))
        await expect(page.locator('#connection[data-state="live"]')).to_be_visible()
        await api.vote(poll, 1, voter=f"another of {name or poll['code']}")
        await page.wait_for_timeout(400)  # for a frame that must not come
        heard.append(await page.content())
    assert len(heard) > 3
    assert not [text for text in heard if '"counts"' in text or "71%" in text]


async def test_results_open_up_to_those_who_have_voted(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create(results_visibility="after_vote")
    await api.vote(poll, 1, voter="someone")
    phone = await open_page(address(site, poll), **PHONE)
    await expect(phone.locator("#ballot")).to_be_visible()
    await expect(phone.locator("#results")).to_be_hidden()
    await vote_single(phone, "Green")
    await expect(phone.locator("#voters")).to_contain_text("2")
    await api.vote(poll, 1, voter="another")
    await expect(phone.locator("#voters")).to_contain_text("3")


async def test_a_poll_can_be_ranked_with_the_keyboard_alone(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create(kind="ranked")
    page = await open_page(address(site, poll))
    await expect(page.locator("#ballot")).to_be_visible()
    await page.locator("#main").focus()

    async def tab_to(name: str) -> None:
        for _ in range(30):
            await page.keyboard.press("Tab")
            label = await page.evaluate(
                "document.activeElement.getAttribute('aria-label')"
                " || document.activeElement.textContent.trim()"
            )
            if name in label:
                return
        raise AssertionError(f"Tab never reaches {name}")

    await tab_to("Blue")
    await page.keyboard.press("Space")
    await tab_to("Red")
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(page.locator(".ranking .rank").first).to_contain_text("Red")
    await tab_to("Vote")
    await page.keyboard.press("Enter")
    await expect(page.locator(".state-vote li")).to_have_text(["1. Red", "2. Blue"])
    await expect(page.locator("#state")).to_be_focused()


async def test_options_are_pasted_and_moved_with_the_keyboard(
    site: Site, open_page: OpenPage
) -> None:
    page = await open_page(f"{site.url}/new/")
    await page.locator("#options input").first.focus()
    await page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text", "- One\\n- Two\\n\\n3. Three\\n");
            document.activeElement.dispatchEvent(
              new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }),
            );
        }"""
    )
    inputs = page.locator("#options input")
    assert await inputs.evaluate_all("list => list.map(one => one.value)") == [
        *("One", "Two", "Three")
    ]
    await page.locator("#options .handle").nth(2).focus()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowUp")
    assert await inputs.evaluate_all("list => list.map(one => one.value)") == [
        *("Three", "One", "Two")
    ]
    assert await page.evaluate("document.activeElement.className") == "handle"


async def test_errors_stand_beside_their_fields(site: Site, open_page: OpenPage) -> None:
    page = await open_page(f"{site.url}/new/")
    await page.click("#submit")
    await expect(page.locator("#question-error")).not_to_be_empty()
    await expect(page.locator("#options-error")).not_to_be_empty()
    await expect(page.locator("#question")).to_be_focused()
    await page.fill("#question", "Which?")
    for number in range(2):
        await page.locator("#options input").nth(number).fill("The same")
    await page.click("#submit")
    await expect(page.locator("#options-error")).to_have_text("Two options have the same text.")


async def test_the_owner_key_travels_only_as_a_header(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create()
    key = poll["owner_key"]
    page = await open_page("about:blank")
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    await page.goto(f"{address(site, poll, 'manage/')}#key={key}")
    await expect(page.locator('[data-verb="pause"]')).to_be_visible()
    assert key not in page.url
    assert not [request.url for request in requests if key in request.url]
    await page.click('[data-verb="pause"]')
    await expect(page.locator('#status[data-status="paused"]')).to_be_visible()
    stranger = await open_page(address(site, poll, "manage/"))
    await expect(stranger.locator("#locked")).to_be_visible()
    await expect(stranger.locator("#owner")).to_be_hidden()


async def test_who_asked_for_calm_sees_no_movement(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    poll = await api.create()
    screen = await open_page(address(site, poll, "live/"), reduced_motion="reduce", **SCREEN)
    await expect(screen.locator(".bar")).to_have_count(3)
    await screen.keyboard.press("s")
    await api.vote(poll, 3, voter="someone")
    await expect(screen.locator(".bar").first).to_contain_text("Blue")
    assert await screen.evaluate("document.getAnimations().length") == 0


async def test_a_poll_is_made_voted_in_watched_and_closed_with_the_keyboard_alone(
    site: Site, api: PollApi, open_page: OpenPage
) -> None:
    owner = await open_page(f"{site.url}/new/", reduced_motion="reduce")
    await press_until(owner, "Tab", "#question")
    await owner.keyboard.type("Tea or coffee?")
    await press_until(owner, "Tab", "#options input")
    await owner.keyboard.type("Tea")
    await owner.keyboard.press("Enter")
    await owner.keyboard.type("Coffee")
    await press_until(owner, "Tab", "#submit")
    await owner.keyboard.press("Enter")
    code = await owner.locator(".share-code .code").inner_text()

    phone = await open_page(f"{site.url}/p/{code}/", reduced_motion="reduce")
    await expect(phone.locator("#ballot")).to_be_visible()
    await press_until(phone, "Tab", ".choice input")
    await phone.keyboard.press("ArrowDown")
    await press_until(phone, "Tab", "#send")
    await phone.keyboard.press("Enter")
    await expect(phone.locator(".state-vote")).to_have_text("Coffee")

    screen = await open_page(f"{site.url}/p/{code}/live/", reduced_motion="reduce", **SCREEN)
    await expect(screen.locator(".bar")).to_have_count(2)
    await screen.keyboard.press("s")
    await expect(screen.locator(".bar").first).to_contain_text("Coffee")
    await screen.keyboard.press("h")
    await expect(screen.locator("#curtain")).to_be_visible()
    await screen.keyboard.press("h")
    await screen.keyboard.press("t")
    await expect(screen.locator("#table td").first).to_be_visible()

    await press_until(owner, "Tab", 'a[href$="manage/"]')
    await owner.keyboard.press("Enter")
    await expect(owner.locator('[data-verb="close"]')).to_be_visible()
    await press_until(owner, "Tab", '[data-verb="close"]')
    await owner.keyboard.press("Enter")
    await expect(screen.locator('#status[data-status="closed"]')).to_be_visible()
    await expect(phone.locator('#state[data-kind="closed"]')).to_be_visible()


async def press_until(page: Page, key: str, selector: str) -> None:
    """Press a key until the focus is on what the selector names."""
    for _ in range(40):
        await page.keyboard.press(key)
        if await page.evaluate("what => document.activeElement.matches(what)", selector):
            return
    raise AssertionError(f"{key} never reaches {selector}")
