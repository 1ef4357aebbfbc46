"""`make screenshots`: every scene as a picture, light and dark, in test-artifacts/screenshots/.

Two of them are the README's, in docs/images/.
"""

import argparse
import asyncio
import shutil
import sqlite3
from contextlib import closing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx
from playwright.async_api import Browser, async_playwright

from deploy.local_servers import private_folder
from tests.e2e.conftest import ARTIFACTS, CHROMIUM_FLAGS
from tests.e2e.harness import ROOT, Site, manage, site_env
from tests.e2e.scenes import SCENES, SIZES, Scene, play, stage
from tests.ensure_browser import find_chromium
from tests.poll_api import Json

README_PICTURES = {"live-single-light": "dashboard", "vote-single-counted-light": "vote"}


# The votes came in a second; a hall takes some minutes, and more of them at the end.
SPREAD_VOTES = """
UPDATE polls_vote SET cast_at = strftime(
  '%Y-%m-%d %H:%M:%f', 'now', '-' || (late * late / 20.0) || ' seconds')
FROM (SELECT poll_id AS poll, epoch AS part, seq AS place,
  MAX(seq) OVER (PARTITION BY poll_id, epoch) - seq AS late FROM polls_vote)
WHERE poll_id = poll AND epoch = part AND seq = place
"""


def spread_votes(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.execute(SPREAD_VOTES)
        connection.commit()


async def take_all(url: str, database: Path, folder: Path, wanted: str) -> None:
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    async with httpx.AsyncClient(base_url=url, trust_env=False, cookies=no_cookies) as http:
        polls = await stage(http)
    spread_votes(database)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_FLAGS
        )
        for scene in SCENES:
            if wanted in scene.name:
                await take(browser, scene, url, polls, folder)
        await browser.close()


async def take(
    browser: Browser, scene: Scene, url: str, polls: dict[str, Json], folder: Path
) -> None:
    for theme in ("light", "dark"):
        context = await browser.new_context(
            **SIZES[scene.size],
            locale=scene.language,
            color_scheme=theme,
            java_script_enabled=scene.is_scripted,
            device_scale_factor=2 if scene.size == "phone" else 1,
        )
        page = await context.new_page()
        await play(page, scene, url, polls)
        path = folder / f"{scene.name}-{theme}.png"
        await page.screenshot(path=path, full_page=scene.size in ("phone", "desktop"))
        await context.close()
        print(path.relative_to(ROOT), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scenes whose name contains this")
    arguments = parser.parse_args()
    pictures = ARTIFACTS / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    with private_folder("livepoll-pictures-") as folder:
        database = folder / "pictures.sqlite3"
        database_url = f"sqlite:///{database}"
        env = site_env(database_url=database_url)
        manage("migrate", "--verbosity=0", env=env, log=folder / "migrate.log")
        with Site(folder, database_url=database_url) as site:
            asyncio.run(take_all(site.url, database, pictures, arguments.only))
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for picture, name in README_PICTURES.items():
        if (pictures / f"{picture}.png").exists():
            shutil.copy(pictures / f"{picture}.png", images / f"{name}.png")


if __name__ == "__main__":
    main()
