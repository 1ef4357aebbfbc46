"""axe-core finds nothing to object to on any page in any state, light and dark."""

import asyncio
from importlib.resources import files

import pytest
from playwright.async_api import Browser, Page

from tests.e2e.conftest import StartSite
from tests.e2e.pages import api_of
from tests.e2e.scenes import SCENES, SIZES, Scene, play, stage
from tests.poll_api import Json
from tests.sizes import LONG

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
FIND = """tags => axe.run({ runOnly: tags }).then(({ violations }) => violations.map(one =>
    `${one.impact} ${one.id}: ${one.nodes.slice(0, 3).map(node => node.html).join(" | ")}`))"""


async def objections(page: Page) -> list[str]:
    await page.evaluate(f"{AXE}; null")
    found: list[str] = await page.evaluate(FIND, RULES)
    return found


FADED = """() => Promise.allSettled(document.getAnimations()
    .filter(one => one instanceof CSSTransition).map(one => one.finished))"""
THEMES = ("light", "dark")
# Every page and kind of poll, each width, and writing from right to left.
SHORT = {
    *("start-arabic", "not-found", "new-errors", "vote-single-counted", "vote-ranked"),
    *("vote-rating", "vote-account-errors", "live-ranked-arabic", "live-table", "live-phone"),
    "manage-codes",
}
SHOWN = [scene for scene in SCENES if (LONG and scene.is_scripted) or scene.name in SHORT]
AT_ONCE = 4  # a scene mostly waits for its bars to come to rest


async def look_at(browser: Browser, scene: Scene, url: str, polls: dict[str, Json]) -> list[str]:
    """What is wrong with a scene, in both themes."""
    context = await browser.new_context(**SIZES[scene.size], locale=scene.language)
    page = await context.new_page()
    await play(page, scene, url, polls)
    found = []
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type] # a literal
        await page.wait_for_timeout(200)  # colours fade for 150 ms, on a machine with time
        for frame in page.frames:
            await frame.evaluate(FADED)
        found += [f"{scene.name}, {theme}: {text}" for text in await objections(page)]
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    found += [f"{scene.name}: {wide} px wider than its window"] if wide > 0 else []
    await context.close()
    return found


def test_the_scenes_of_the_short_form_exist() -> None:
    assert {scene.name for scene in SCENES} >= SHORT


@pytest.mark.timeout(400)
async def test_axe_finds_nothing_on_any_page_in_any_state_light_and_dark(
    start_site: StartSite, browser: Browser
) -> None:
    site = start_site("embedded")
    async with api_of(site) as api:
        polls = await stage(api.http)
    gate = asyncio.Semaphore(AT_ONCE)

    async def look(scene: Scene) -> list[str]:
        async with gate:
            return await look_at(browser, scene, site.url, polls)

    found = await asyncio.gather(*map(look, SHOWN))
    assert [text for texts in found for text in texts] == []
