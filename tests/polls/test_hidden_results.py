"""Hidden results reach no caller by any endpoint.

Two polls are alike but for what people voted: as many votes, at the same places. A caller
who may not see the results must get the same response of both from every endpoint, byte for
byte but for ids and times; a count, a winner, an ETag or a file that gave anything away would
differ.
Every endpoint of the server stands in one of the lists below, and a new one must be put there.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.urls import URLPattern, URLResolver, get_resolver

import asgi
from polls.rules.kinds import KINDS
from tests.polls.kinds.ballots import two_bodies
from tests.polls.kinds.states import option_texts
from tests.polls.people import Json, Person, Site
from tests.polls.tallies import tallies_in

pytestmark = [pytest.mark.slow, pytest.mark.above_databases]

# Every endpoint that has to do with a poll, and a body for it; those that change most, last.
OF_A_POLL: dict[str, Json | None] = {
    "GET api/v1/polls/": None,
    "GET api/v1/polls/<str:ref>/": None,
    "GET api/v1/polls/<str:ref>/results/": None,
    "GET api/v1/polls/<str:ref>/timeline/": None,
    "GET api/v1/polls/<str:ref>/votes/me/": None,
    "GET api/v1/polls/<str:ref>/corrections/": None,
    "GET api/v1/polls/<str:ref>/voter-codes/": None,
    "GET api/v1/polls/<str:ref>/export/results.csv": None,
    "GET api/v1/polls/<str:ref>/export/votes.csv": None,
    "GET api/v1/polls/<str:ref>/export/report.pdf": None,
    "GET p/<str:code>/": None,
    "GET p/<str:code>/live/": None,
    "GET p/<str:code>/manage/": None,
    "GET p/<str:code>/qr.svg": None,
    "POST api/v1/polls/": {"question": "Another?", "options": ["A", "B"]},
    "POST api/v1/polls/<str:ref>/votes/": {},  # the viewer's ballot is filled in
    "POST api/v1/polls/<str:ref>/voter-codes/": {"count": 1},
    "POST api/v1/polls/<str:ref>/voter-codes/revoke/": {"numbers": [1]},
    "PATCH api/v1/polls/<str:ref>/": {"description": "Edited."},
    "POST api/v1/polls/<str:ref>/clone/": None,
    "POST api/v1/polls/<str:ref>/pause/": None,
    "POST api/v1/polls/<str:ref>/open/": None,
    "DELETE api/v1/polls/<str:ref>/votes/me/": None,
    "POST api/v1/polls/<str:ref>/rotate-key/": None,
    "POST api/v1/polls/<str:ref>/close/": None,
    "POST api/v1/polls/<str:ref>/reset/": None,
    "DELETE api/v1/polls/<str:ref>/": None,
}
# Those that know of no poll. `metrics` counts votes of the whole server, none by option.
OF_NO_POLL = {
    "GET healthz",
    "GET readyz",
    "GET metrics",
    "POST api/v1/accounts/",
    "GET api/v1/accounts/me/",
    "POST api/v1/accounts/token/",
    "POST api/v1/accounts/token/refresh/",
    "GET api/v1/limits/",
    "POST api/v1/voters/",
    "GET api/schema/",
    "GET api/asyncapi.yaml",
    "GET api/docs/",
    "GET api/docs/errors/",
    "GET api/docs/live/",
    "GET ^api/(?:.*/)?$",
    "GET ",
    "GET new/",
    "GET scripts/<slug:page>.<slug:language>.<slug:tag>.js",
    "GET styles/<slug:page>.<slug:tag>.css",
}
VOTING = "POST api/v1/polls/<str:ref>/votes/"
RESULTS = "GET api/v1/polls/<str:ref>/results/"
# After this the owner's key is another one.
ENDS_IT = {"POST api/v1/polls/<str:ref>/rotate-key/"}

ADA, BOB, EVE = 0, 1, 2
# For kinds whose results can differ in more than what one of three voted.
CHOSEN_BALLOTS: dict[str, list[list[Json]]] = {
    "multiple": [
        [{"choices": choices} for choices in ballots]
        for ballots in (([1, 2], [1, 2], [2, 3]), ([1, 2], [2, 3], [1, 3]))
    ],
    "ranked": [
        [{"choices": choices} for choices in ballots]
        for ballots in (([1, 2], [1, 2], [2, 3]), ([1, 2], [3, 1], [3, 2]))
    ],
    "rating": [
        [{"ratings": {"1": stars}} for stars in row] for row in ((5, 5, 1), (5, 1, 2))
    ],
}  # fmt: skip


def ballots_of(kind: str) -> list[list[Json]]:
    """Of three voters; the first one votes alike in both polls."""
    if kind in CHOSEN_BALLOTS:
        return CHOSEN_BALLOTS[kind]
    one, other = two_bodies(kind)
    return [[one, one, other], [one, other, other]]


def endpoints() -> Iterator[str]:
    """`METHOD route` of everything that the server's addresses lead to."""
    yield from (f"GET {path.lstrip('/')}" for path in asgi._PROBES)
    yield from routes(get_resolver().url_patterns)


def routes(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for one in patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from routes(one.url_patterns, route)
        else:
            assert isinstance(one, URLPattern)
            view = getattr(one.callback, "cls", None) or getattr(one.callback, "view_class", None)
            for method in ("get", "post", "put", "patch", "delete"):
                if method == "get" if view is None else hasattr(view, method):
                    yield f"{method.upper()} {route}"


def test_every_endpoint_is_looked_at() -> None:
    assert sorted(endpoints()) == sorted({*OF_A_POLL, *OF_NO_POLL})
    for method, name in asgi.RAW_ENDPOINTS:
        of_a_poll = f"{method} api/v1/polls/<str:ref>/{name}/" in OF_A_POLL
        assert of_a_poll or f"{method} api/v1/{name}/" in OF_NO_POLL


class Twins:
    """Two polls of one owner, alike but for the votes of two of their three voters."""

    def __init__(self, site: Site, kind: str, **rules: Any) -> None:
        self.owner = site.person()
        self.people = [site.person() for _ in range(3)]
        self.kind = kind
        self.polls = [
            self.owner.make_poll(options=option_texts(kind), kind=kind, vote_change=True, **rules)
            for _ in range(2)
        ]
        for poll, ballots in zip(self.polls, ballots_of(kind), strict=True):
            for person, ballot in zip(self.people, ballots, strict=True):
                answer = person.post(f"/api/v1/polls/{poll['id']}/votes/", ballot)
                assert answer.status_code == 201

    def answers(
        self, viewer: Person, endpoint: str, *, as_owner: bool = False
    ) -> list[httpx.Response]:
        """What both polls answer the viewer."""
        method, _, route = endpoint.partition(" ")
        given = []
        for poll in self.polls:
            path = "/" + re.sub("<str:(ref|code)>", poll["code"], route)
            body = OF_A_POLL[endpoint]
            if endpoint.endswith("votes/") and method == "POST":
                body = ballots_of(self.kind)[0][ADA]
            headers = self.owner.key_of(poll) if as_owner else None
            given.append(viewer.request(method, path, json=body, headers=headers))
        return given

    def seen(self, answer: httpx.Response) -> tuple[Any, ...]:
        """An answer without ids, join codes, keys and times."""
        text = answer.text
        for poll in self.polls:
            text = text.replace(poll["id"], "ID").replace(poll["code"], "CODE")
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
        text = re.sub(r'"(id|code|owner_key|voter_token)": ?"[^"]*"', r'"\1": …', text)
        text = re.sub(r"/(polls|p)/[^/\"]+/", r"/\1/ID/", text)
        if "svg" in answer.headers.get("content-type", ""):
            text = "a QR code of the address"
        # Of a kept response it begins with a hash of the body, which is compared itself.
        tag = re.sub(r'^"[0-9a-f]{18}', '"HASH', answer.headers.get("etag", ""))
        return answer.status_code, tag, text


def check_nothing_is_given_away(
    twins: Twins, viewer: Person, *, as_owner: bool = False, but: str = ""
) -> None:
    """Every endpoint, `but` one, gives the viewer the same of both polls, and no tally."""
    for endpoint in OF_A_POLL:
        if endpoint == but or (as_owner and endpoint in ENDS_IT):
            continue
        left, right = twins.answers(viewer, endpoint, as_owner=as_owner)
        assert twins.seen(left) == twins.seen(right), (twins.kind, endpoint)
        if "json" in left.headers.get("content-type", ""):
            assert tallies_in(left.json()) == [], (twins.kind, endpoint)


@pytest.mark.parametrize("visibility", ["after_vote", "after_close", "owner"])
def test_an_outsider_learns_nothing(site: Site, visibility: str) -> None:
    # Who votes is no outsider any more.
    but = VOTING if visibility == "after_vote" else ""
    for kind in KINDS:
        twins = Twins(site, kind, results_visibility=visibility)
        check_nothing_is_given_away(twins, site.person(), but=but)


@pytest.mark.parametrize("visibility", ["after_close", "owner"])
def test_a_voter_learns_nothing_before_the_time(site: Site, visibility: str) -> None:
    for kind in KINDS:
        twins = Twins(site, kind, results_visibility=visibility)
        check_nothing_is_given_away(twins, twins.people[ADA])


@pytest.mark.parametrize("kind", KINDS)
def test_below_min_voters_not_even_the_owner_learns_anything(site: Site, kind: str) -> None:
    twins = Twins(site, kind, min_voters=5)
    check_nothing_is_given_away(twins, twins.people[ADA])
    check_nothing_is_given_away(twins, twins.owner, as_owner=True)


def test_who_took_the_vote_back_learns_nothing_more(site: Site) -> None:
    twins = Twins(site, "single", results_visibility="after_vote")
    ada = twins.people[ADA]
    twins.answers(ada, "DELETE api/v1/polls/<str:ref>/votes/me/")
    check_nothing_is_given_away(twins, ada, but=VOTING)


def test_a_vote_of_another_epoch_entitles_nobody(site: Site) -> None:
    twins = Twins(site, "single", results_visibility="after_vote")
    for poll in twins.polls:
        twins.owner.act(poll, "reset")
    for poll, ballots in zip(twins.polls, ballots_of("single"), strict=True):
        for person, ballot in zip(twins.people[BOB:], ballots[BOB:], strict=True):
            person.post(f"/api/v1/polls/{poll['id']}/votes/", ballot)
    check_nothing_is_given_away(twins, twins.people[ADA], but=VOTING)


ENTITLED = [
    ("always", "outsider"),
    ("always", "ada"),
    ("always", "owner"),
    ("after_vote", "ada"),
    ("after_vote", "owner"),
    ("after_close", "owner"),
    ("owner", "owner"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_entitled_are_shown_what_differs(site: Site, kind: str) -> None:
    """So that the tests above could have seen it."""
    for visibility, who in ENTITLED:
        twins = Twins(site, kind, results_visibility=visibility)
        viewer = {"outsider": site.person(), "ada": twins.people[ADA], "owner": twins.owner}[who]
        left, right = twins.answers(viewer, RESULTS, as_owner=who == "owner")
        assert left.status_code == right.status_code == 200
        assert twins.seen(left) != twins.seen(right), (visibility, who)
        assert "counts" in tallies_in(left.json())


def test_the_close_shows_results_to_all_and_a_reopening_hides_them(site: Site) -> None:
    twins = Twins(site, "ranked", results_visibility="after_close")
    outsider = site.person()
    for poll in twins.polls:
        twins.owner.act(poll, "close")
    left, right = twins.answers(outsider, RESULTS)
    assert twins.seen(left) != twins.seen(right)
    tag = left.headers["etag"]
    for poll in twins.polls:
        twins.owner.act(poll, "open")
    check_nothing_is_given_away(twins, outsider)
    again = outsider.get(f"/api/v1/polls/{twins.polls[0]['id']}/results/", {"If-None-Match": tag})
    assert again.status_code == 403


def test_a_known_tag_is_no_way_to_ask_whether_the_tally_moved(site: Site) -> None:
    """304 or 403 would tell."""
    twins = Twins(site, "single")
    poll = twins.polls[0]
    path = f"/api/v1/polls/{poll['id']}/results/"
    outsider = site.person()
    tag = outsider.get(path).headers["etag"]
    twins.owner.patch(
        f"/api/v1/polls/{poll['id']}/", {"results_visibility": "owner"}, twins.owner.key_of(poll)
    )
    for known in (tag, "*", 'W/"1-3-2-open"'):
        answer = outsider.get(path, {"If-None-Match": known})
        assert answer.status_code == 403
        assert "etag" not in answer.headers


def test_stricter_rules_hold_from_the_next_request_on(site: Site) -> None:
    twins = Twins(site, "ranked")
    for poll in twins.polls:
        headers = twins.owner.key_of(poll)
        shown = site.person().get(f"/api/v1/polls/{poll['id']}/results/")
        assert shown.status_code == 200
        edited = twins.owner.patch(
            f"/api/v1/polls/{poll['id']}/", {"results_visibility": "after_close"}, headers
        )
        assert tallies_in(edited.json()) == []
    check_nothing_is_given_away(twins, site.person())


def test_votes_of_an_epoch_too_small_to_show_are_in_no_export(owner: Person, site: Site) -> None:
    """One person votes; after a reset three do, enough to show theirs."""
    poll = owner.make_poll("A", "B", min_voters=3)
    site.person().vote(poll, 1)
    owner.act(poll, "reset")
    for _ in range(3):
        site.person().vote(poll, 2)
    path = f"/api/v1/polls/{poll['id']}/export/votes.csv"
    for query in ("", "?epoch=1"):
        lines = owner.get(path + query, owner.key_of(poll)).text.splitlines()[1:]
        assert [line for line in lines if line.startswith("1,")] == []
    assert len(owner.get(f"{path}?epoch=2", owner.key_of(poll)).text.splitlines()) == 4
