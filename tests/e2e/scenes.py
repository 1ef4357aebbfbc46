"""Every page in every state, as scenes: for screenshots and for the accessibility test.

`stage` fills a server with the polls that the scenes show.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
from playwright.async_api import Page

from tests.poll_api import Json, PollApi

Size = Literal["phone", "desktop", "screen", "frame"]
SIZES: dict[Size, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}},
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "screen": {"viewport": {"width": 1920, "height": 1080}},
    "frame": {"viewport": {"width": 640, "height": 480}},
}
TALKS = [
    *("A database that never sleeps", "The small web, at scale"),
    *("What we learned from 10,000 sockets", "Colour for people who see it differently"),
]


@dataclass(frozen=True)
class Scene:
    """One picture: a page of a poll of the stage, after a person did something there."""

    name: str
    path: str
    size: Size
    act: Callable[[Page], Awaitable[None]] | None = None
    language: str = "en"
    is_scripted: bool = True


async def stage(http: httpx.AsyncClient) -> dict[str, Json]:
    """The polls by name, with votes. `http` must keep no cookies."""
    api = PollApi(http)
    rng = random.Random(7)
    in_a_day = (datetime.now(UTC) + timedelta(hours=26)).isoformat()
    polls = {
        "single": await api.create(
            question="Which talk should open the conference tomorrow?",
            description="The hall opens at nine. Pick the one you would get up early for.",
            options=TALKS,
        ),
        "multiple": await api.create(
            question="Which evenings suit you for the reading group?",
            options=["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
            kind="multiple",
            max_choices=3,
            vote_change=True,
        ),
        "ranked": await api.create(
            question="Who should be mayor?",
            options=["Andy", "Bob", "Dan", "James", "Kurt", "Somebody else"],
            kind="ranked",
            vote_change=True,
        ),
        "rating": await api.create(
            question="How was the workshop?",
            options=["Content", "Pace", "Speakers", "Food"],
            kind="rating",
            vote_change=True,
        ),
        "hidden": await api.create(
            question="Secret until it is over: which costume is the best?",
            options=["The lighthouse", "Two-headed robot", "The jellyfish"],
            results_visibility="after_close",
        ),
        "scheduled": await api.create(question="Lunch on Friday?", opens_at=in_a_day),
        "draft": await api.create(question="Not asked yet?", draft=True),
        "closed": await api.create(question="Has everyone arrived?", options=["Yes", "No"]),
        "paused": await api.create(question="A short break now?", options=["Yes", "No"]),
        "code": await api.create(
            question="Who joins the board?", options=["Ada", "Grace"], voter_policy="code"
        ),
        "account": await api.create(
            question="Shall we meet on Thursdays?", options=["Yes", "No"], voter_policy="account"
        ),
        "framed": await api.create(
            question="What should we build next?",
            options=["A lantern", "A kite", "A raft"],
            embed_origins=["https://example.com"],
            vote_change=True,
        ),
        "many": await api.create(
            question="Pick a number", options=[f"Number {number}" for number in range(1, 51)]
        ),
    }
    for name, votes in [("single", 90), ("multiple", 60), ("ranked", 70), ("rating", 40)]:
        await _cast(http, polls[name], votes, rng)
    await _cast(http, polls["framed"], 20, rng)
    await api.act(polls["framed"], "reset")
    await _cast(http, polls["framed"], 50, rng)
    for name, votes in [("closed", 30), ("paused", 30), ("many", 80)]:
        await _cast(http, polls[name], votes, rng)
    await api.act(polls["closed"], "close")
    await api.act(polls["paused"], "pause")
    return polls


async def _cast(http: httpx.AsyncClient, poll: Json, votes: int, rng: random.Random) -> None:
    ids = [option["id"] for option in poll["options"]]
    weights = [2 / (place + 1.5) for place in range(len(ids))]
    for number in range(votes):
        liked = sorted(ids, key=lambda id_: rng.random() ** (1 / weights[ids.index(id_)]))[::-1]
        ballots: dict[str, Json] = {
            "single": {"choices": liked[:1]},
            "multiple": {"choices": liked[: rng.randint(1, 3)]},
            "ranked": {"choices": liked[: rng.randint(1, len(ids))]},
            "rating": {
                "ratings": {
                    str(id_): min(5, max(1, round(rng.gauss(4.2 - 0.4 * ids.index(id_), 1))))
                    for id_ in ids
                }
            },
        }
        answer = await http.post(
            f"/api/v1/polls/{poll['id']}/votes/",
            json=ballots[poll["kind"]],
            headers={"Idempotency-Key": f"scene-{poll['id']}-{number}"},
        )
        answer.raise_for_status()


def _click(*selectors: str) -> Callable[[Page], Awaitable[None]]:
    async def act(page: Page) -> None:
        for selector in selectors:
            await page.locator(selector).click()

    return act


def _press(*keys: str) -> Callable[[Page], Awaitable[None]]:
    async def act(page: Page) -> None:
        await page.locator(".bar").first.wait_for()
        for key in keys:
            await page.keyboard.press(key)

    return act


async def _write(page: Page) -> None:
    await page.fill("#question", "Which book should we read next?")
    await page.fill("#options li:nth-child(1) input", "The Left Hand of Darkness")
    await page.fill("#options li:nth-child(2) input", "Middlemarch")


async def _create(page: Page) -> None:
    await _write(page)
    await page.click("#submit")
    await page.locator("#created").wait_for()


async def _vote_offline(page: Page) -> None:
    await page.locator('#connection[data-state="live"]').wait_for()
    await page.context.set_offline(True)
    await page.locator(".choice").first.click()
    await page.locator("#send").click()
    await page.locator('#state[data-kind="waiting"]').wait_for()


async def _sign_in(page: Page) -> None:
    await page.fill("#account-username", f"ada-{random.randrange(10**9)}")
    await page.fill("#account-password", "correct horse 7")
    await page.click('.account-form button[value="new"]')
    await page.locator(".account-who").wait_for()


async def _make_codes(page: Page) -> None:
    await page.fill("#codes-count", "6")
    await page.click("button[value=list]")
    await page.locator(".code-list li").first.wait_for()


def _manage(poll: str) -> str:
    return f"/p/{{{poll}[code]}}/manage/#key={{{poll}[owner_key]}}"


_CHOOSE = ".choice >> nth=1"
_RANK = (".rank-toggle >> nth=2", ".ranking-rest .rank-toggle >> nth=0")
_CHECK, _CHECK_STAR = _click(_CHOOSE), _click(".stars >> nth=0 >> .star >> nth=3")
_VOTE = _click(_CHOOSE, "#send")
_STARS = (".stars >> nth=0 >> .star >> nth=3", ".stars >> nth=1 >> .star >> nth=1")

SCENES = [
    Scene("start", "/", "desktop"),
    Scene("start-phone", "/", "phone"),
    Scene("start-arabic", "/", "desktop", language="ar"),
    Scene("start-german", "/", "phone", language="de"),
    Scene("not-found", "/p/NOSUCH/", "phone"),
    Scene("new", "/new/", "desktop", _write),
    Scene("new-phone", "/new/", "phone"),
    Scene("new-errors", "/new/", "desktop", _click("#submit")),
    Scene("new-created", "/new/", "desktop", _create),
    Scene("new-sign-in", "/new/", "desktop", _click("#own-sign-in")),
    Scene("vote-single", "/p/{single[code]}/", "phone"),
    Scene("vote-single-counted", "/p/{single[code]}/", "phone", _click(_CHOOSE, "#send")),
    Scene("vote-single-arabic", "/p/{single[code]}/", "phone", _click(_CHOOSE, "#send"), "ar"),
    Scene("vote-offline", "/p/{single[code]}/", "phone", _vote_offline),
    Scene("vote-multiple", "/p/{multiple[code]}/", "phone", _click(_CHOOSE)),
    Scene("vote-ranked", "/p/{ranked[code]}/", "phone", _click(*_RANK)),
    Scene("vote-ranked-counted", "/p/{ranked[code]}/", "phone", _click(*_RANK, "#send")),
    Scene("vote-rating", "/p/{rating[code]}/", "phone", _click(*_STARS)),
    Scene("vote-rating-counted", "/p/{rating[code]}/", "phone", _click(*_STARS, "#send")),
    Scene("vote-hidden-counted", "/p/{hidden[code]}/", "phone", _click(_CHOOSE, "#send")),
    Scene("vote-scheduled", "/p/{scheduled[code]}/", "phone"),
    Scene("vote-draft", "/p/{draft[code]}/", "phone"),
    Scene("vote-paused", "/p/{paused[code]}/", "phone"),
    Scene("vote-closed", "/p/{closed[code]}/", "phone"),
    Scene("vote-code", "/p/{code[code]}/", "phone"),
    Scene("vote-account", "/p/{account[code]}/", "phone"),
    Scene("vote-account-errors", "/p/{account[code]}/", "phone", _click("[value=new]")),
    Scene("vote-account-signed-in", "/p/{account[code]}/", "phone", _sign_in),
    Scene("vote-plain", "/p/{single[code]}/", "phone", _CHECK, is_scripted=False),
    Scene("vote-plain-ranked-arabic", "/p/{ranked[code]}/", "phone", None, "ar", is_scripted=False),
    Scene(
        "vote-plain-rating-german",
        "/p/{rating[code]}/",
        "phone",
        _CHECK_STAR,
        "de",
        is_scripted=False,
    ),
    Scene("vote-plain-counted", "/p/{single[code]}/", "phone", _VOTE, is_scripted=False),
    Scene("vote-plain-closed", "/p/{closed[code]}/", "phone", is_scripted=False),
    Scene("live-single", "/p/{single[code]}/live/", "screen"),
    Scene("live-multiple-sorted", "/p/{multiple[code]}/live/", "screen", _press("s")),
    Scene("live-ranked-round", "/p/{ranked[code]}/live/", "screen", _press("ArrowLeft")),
    Scene("live-ranked-arabic", "/p/{ranked[code]}/live/", "screen", None, "ar"),
    Scene("live-rating", "/p/{rating[code]}/live/", "screen"),
    Scene("live-hidden", "/p/{hidden[code]}/live/", "screen"),
    Scene("live-closed", "/p/{closed[code]}/live/", "screen"),
    Scene("live-many", "/p/{many[code]}/live/", "screen"),
    Scene("live-table", "/p/{single[code]}/live/", "screen", _press("t")),
    Scene("live-keys", "/p/{single[code]}/live/", "screen", _press("?")),
    Scene("live-phone", "/p/{single[code]}/live/", "phone"),
    Scene("live-overlay", "/p/{single[code]}/live/?overlay=1", "screen"),
    Scene("live-embed", "/p/{single[code]}/live/?embed=1", "frame"),
    Scene("manage-framed", _manage("framed"), "desktop"),
    Scene("manage", _manage("ranked"), "desktop"),
    Scene("manage-phone", _manage("rating"), "phone"),
    Scene("manage-codes", _manage("code"), "desktop", _make_codes),
    Scene("manage-reset", _manage("rating"), "desktop", _click('[data-verb="reset"]')),
    Scene("manage-locked", "/p/{single[code]}/manage/", "desktop"),
]


async def play(page: Page, scene: Scene, url: str, polls: dict[str, Json]) -> None:
    """Open a scene and do what it says; returns when the page has come to rest."""
    await page.goto(url + scene.path.format_map(polls))
    await page.wait_for_load_state("networkidle")
    if scene.act:
        await scene.act(page)
    await page.wait_for_timeout(500)  # bars slide for 280 ms, rows for 450
