"""Guessing by every path that takes a credential, behind the real limits, in process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from tests.limits.conftest import BehindLimits
from tests.polls.people import Json, Person, Site, refusal

PASSWORD = "correct horse 7"
ALLOWED = 3


@dataclass
class Scene:
    """Polls of each sort, behind limits; `person(n)` calls from the address of that number."""

    site: Site
    application: Any

    def __post_init__(self) -> None:
        owner = self.owner = self.site.person()  # from before the limits
        self.device = owner.make_poll()
        self.coded = owner.make_poll(voter_policy="code", results_visibility="after_vote")
        self.hidden = owner.make_poll(results_visibility="owner")
        made = owner.post(
            f"/api/v1/polls/{self.coded['id']}/voter-codes/",
            {"count": 3},
            owner.key_of(self.coded),
        )
        self.codes: list[str] = [one["code"] for one in made.json()["codes"]]
        owner.post("/api/v1/accounts/", {"username": "vera", "password": PASSWORD})

    def person(self, number: int = 1) -> Person:
        return self.site.person(self.application, address=f"192.0.2.{number}")

    def path(self, poll: Json, rest: str = "") -> str:
        return f"/api/v1/polls/{poll['id']}/{rest}"

    def cast(self, person: Person, code: str) -> httpx.Response:
        body = {"choices": [1], "voter_code": code}
        return person.post(self.path(self.coded, "votes/"), body)

    def sign_in(self, person: Person, password: str, name: str = "vera") -> httpx.Response:
        body = {"username": name, "password": password}
        return person.post("/api/v1/accounts/token/", body)


@pytest.fixture
def scene(site: Site, behind_limits: BehindLimits) -> Scene:
    return Scene(site, behind_limits(RATE_MISSES=f"{ALLOWED}/hour"))


def header(name: str, value: str) -> dict[str, str]:
    return {name: value}


def code_of(number: int) -> str:
    return f"AAAA-AAA{'23456789'[number]}"


def name_of(number: int) -> str:
    return f"ZZZZZ{'23456789'[number]}"


Guess = Callable[[Scene, Person, int], httpx.Response]
GUESSES: dict[str, tuple[Guess, int]] = {
    "a voter code, voting": (lambda s, p, n: s.cast(p, code_of(n)), 403),
    "a voter code, votes/me": (
        lambda s, p, n: p.get(
            s.path(s.coded, "votes/me/"), header("Voter-Code", code_of(n))
        ), 404,
    ),
    "a voter code, retracting": (
        lambda s, p, n: p.delete(
            s.path(s.coded, "votes/me/"), header("Voter-Code", code_of(n))
        ), 403,
    ),
    "a voter code, results": (
        lambda s, p, n: p.get(
            s.path(s.coded, "results/"), header("Voter-Code", code_of(n))
        ), 403,
    ),
    "a voter code, results by HEAD": (
        lambda s, p, n: p.request(
            "HEAD", s.path(s.coded, "results"), headers=header("Voter-Code", code_of(n)),
        ), 403,
    ),
    "a voter code, timeline": (
        lambda s, p, n: p.get(
            s.path(s.coded, "timeline/"), header("Voter-Code", code_of(n))
        ), 403,
    ),
    "a join code, page": (lambda s, p, n: p.get(f"/p/{name_of(n)}/"), 404),
    "a join code, big screen": (lambda s, p, n: p.get(f"/p/{name_of(n).lower()}/live"), 404),
    "a join code, QR code": (lambda s, p, n: p.get(f"/p/{name_of(n)}/qr.svg"), 404),
    "a join code, poll": (lambda s, p, n: p.get(f"/api/v1/polls/{name_of(n)}/"), 404),
    "a join code, results": (lambda s, p, n: p.get(f"/api/v1/polls/{name_of(n)}/results"), 404),
    "a join code, vote": (
        lambda s, p, n: p.post(f"/api/v1/polls/{name_of(n)}/votes", {"choices": [1]}), 404,
    ),
    "a join code, corrections": (
        lambda s, p, n: p.get(f"/api/v1/polls/{name_of(n)}/corrections/"), 404,
    ),
    "a password": (lambda s, p, n: s.sign_in(p, f"wrong {n}", f"no such name {n}"), 401),
    "an account's name": (
        lambda s, p, n: p.post("/api/v1/accounts", {"username": "vera", "password": PASSWORD}), 400,
    ),
    "an owner key": (
        lambda s, p, n: p.post(
            s.path(s.device, "close"), headers=header("Authorization", f"Bearer owner_{n}")
        ), 403,
    ),
    "an owner key, export": (
        lambda s, p, n: p.get(
            s.path(s.device, "export/results.csv"), header("Authorization", f"Bearer owner_{n}")
        ), 403,
    ),
    "an owner key, hidden results": (
        lambda s, p, n: p.get(
            s.path(s.hidden, "results/"), header("Authorization", f"Bearer owner_{n}")
        ), 403,
    ),
    "a voter token": (
        lambda s, p, n: p.vote(s.device, 1, Authorization=f"Voter x.{n}"), 401,
    ),
    "a voter token, votes/me": (
        lambda s, p, n: p.get(
            s.path(s.device, "votes/me"), header("Authorization", f"Voter x.{n}")
        ), 401,
    ),
    "a voter cookie": (
        lambda s, p, n: p.vote(s.device, 1, Cookie=f"voter=x.{n}"), 401,
    ),
    "an access token": (
        lambda s, p, n: p.get("/api/v1/accounts/me/", header("Authorization", f"Bearer x.y.{n}")),
        401,
    ),
    "a refresh token": (
        lambda s, p, n: p.post("/api/v1/accounts/token/refresh/", {"refresh": f"x.y.{n}"}), 401,
    ),
    "a poll's id": (
        lambda s, p, n: p.get(f"/api/v1/polls/00000000-0000-4000-8000-00000000000{n}/"), 404,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", GUESSES)
def test_guessing_is_counted_by_address(scene: Scene, what: str) -> None:
    guess, status = GUESSES[what]
    guesser = scene.person()
    answers = [guess(scene, guesser, number) for number in range(ALLOWED + 2)]
    assert [one.status_code for one in answers] == [status] * ALLOWED + [429] * 2
    for refused in answers[ALLOWED:]:
        headers = refused.headers
        assert headers["RateLimit-Limit"] == str(ALLOWED)
        assert headers["RateLimit-Remaining"] == "0"
        assert headers["RateLimit-Reset"] == headers["Retry-After"]
        assert 1 <= int(headers["Retry-After"]) <= 3600
    assert guess(scene, scene.person(2), 0).status_code == status  # another address


def test_who_has_guessed_codes_too_often_is_refused_the_right_one_unseen(scene: Scene) -> None:
    guesser = scene.person()
    for number in range(ALLOWED):
        scene.cast(guesser, code_of(number))
    assert scene.cast(guesser, scene.codes[0]).status_code == 429
    used = guesser.get(scene.path(scene.coded, "results/"), header("Voter-Code", scene.codes[0]))
    assert used.status_code == 429
    assert guesser.get(f"/p/{scene.coded['code']}/").status_code == 429


def test_a_burst_of_guesses_gets_no_further_than_one_after_the_other(scene: Scene) -> None:
    """All at once, before any of them has counted; the right one among them."""
    path = scene.path(scene.coded, "votes/")
    bodies = [{"choices": [1], "voter_code": code_of(n)} for n in range(8)] * 5
    bodies.append({"choices": [1], "voter_code": scene.codes[0]})

    async def burst() -> list[int]:
        transport = httpx.ASGITransport(scene.application, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = await asyncio.gather(*(client.post(path, json=body) for body in bodies))
            return [one.status_code for one in answers]

    statuses = scene.site.run(burst())
    assert statuses.count(403) <= ALLOWED
    assert set(statuses) == {403, 429}


def test_what_is_no_guess_goes_on_from_an_address_that_guesses(scene: Scene) -> None:
    """Votes by device and account, owners, screens: what a hall does beside one who guesses."""
    beside = scene.person()
    beside.get(f"/p/{scene.device['code']}/")  # its code is known here from now on
    for number in range(ALLOWED + 1):
        scene.cast(scene.person(), code_of(number))
        scene.person().vote(scene.device, 1, Authorization=f"Voter x.{number}")
    token = beside.post("/api/v1/voters/").json()["voter_token"]
    assert beside.vote(scene.device, 1, Authorization=f"Voter {token}").status_code == 201
    assert beside.get(f"/p/{scene.device['code'].lower()}/").status_code == 200
    results = beside.get(f"/api/v1/polls/{scene.device['code']}/results/")
    assert results.status_code == 200
    key = scene.owner.key_of(scene.hidden)
    assert beside.get(scene.path(scene.hidden, "results/"), key).status_code == 200
    assert beside.post(scene.path(scene.hidden, "close/"), headers=key).status_code == 200


def test_own_tokens_that_ran_out_are_no_guesses(scene: Scene) -> None:
    user = User.objects.get(username="vera")
    access, refresh = AccessToken.for_user(user), RefreshToken.for_user(user)
    for token in (access, refresh):
        token.set_exp(lifetime=-timedelta(seconds=1))
    phone = scene.person()
    expired = header("Authorization", f"Bearer {access}")
    for _ in range(ALLOWED + 2):
        assert phone.get("/api/v1/accounts/me/", expired).status_code == 401
        assert phone.vote(scene.device, 1, **expired).status_code == 401
        again = phone.post("/api/v1/accounts/token/refresh/", {"refresh": str(refresh)})
        assert refusal(again) == (401, "invalid_token")
        assert phone.get("/api/v1/accounts/me/").status_code == 401  # none at all


def test_a_right_code_without_a_vote_is_no_miss(scene: Scene) -> None:
    phone = scene.person()
    mine = header("Voter-Code", scene.codes[0])
    for _ in range(ALLOWED + 2):
        assert refusal(phone.get(scene.path(scene.coded, "votes/me/"), mine)) == (404, "not_voted")
        assert phone.get(scene.path(scene.coded, "results/"), mine).status_code == 403
    assert scene.cast(phone, scene.codes[0]).status_code == 201


def test_a_stale_cookie_is_cleared_beyond_the_limit_too(scene: Scene) -> None:
    phone = scene.person()
    for _ in range(ALLOWED + 1):
        refused = phone.vote(scene.device, 1, Cookie="voter=old.one")
        assert "voter=;" in refused.headers["Set-Cookie"]
    assert refused.status_code == 429
    assert phone.vote(scene.device, 1).status_code == 201


# Targets


def test_no_one_locks_out_a_voter_by_guessing_at_the_poll(
    site: Site, behind_limits: BehindLimits
) -> None:
    scene = Scene(site, behind_limits(RATE_POLL_MISSES=f"{ALLOWED}/hour"))
    answers = [scene.cast(scene.person(n), code_of(n)).status_code for n in range(ALLOWED + 2)]
    assert answers == [403] * ALLOWED + [429] * 2
    for number in (0, 99):  # at an address that guessed, and at one that did not
        assert scene.cast(scene.person(number), scene.codes[number % 2]).status_code == 201
    key = scene.owner.key_of(scene.coded)
    closed = scene.person(0).post(scene.path(scene.coded, "close/"), headers=key)
    assert closed.status_code == 200


def test_an_address_that_is_over_spends_no_targets_limit(
    site: Site, behind_limits: BehindLimits
) -> None:
    scene = Scene(site, behind_limits(RATE_MISSES="3/hour", RATE_POLL_MISSES="5/hour"))
    close = scene.path(scene.device, "close/")

    def guess(person: Person, number: int) -> int:
        wrong = header("Authorization", f"Bearer owner_{number}")
        return person.post(close, headers=wrong).status_code

    assert [guess(scene.person(), n) for n in range(10)] == [403] * 3 + [429] * 7
    assert [guess(scene.person(2), n) for n in range(3)] == [403] * 2 + [429]


def test_one_password_is_not_tried_from_many_addresses_for_ever(
    site: Site, behind_limits: BehindLimits
) -> None:
    scene = Scene(site, behind_limits(RATE_ACCOUNT_MISSES=f"{ALLOWED}/hour"))
    tried = [scene.sign_in(scene.person(n), f"wrong {n}").status_code for n in range(ALLOWED + 2)]
    assert tried == [401] * ALLOWED + [429] * 2
    for number in (0, 99):
        assert scene.sign_in(scene.person(number), PASSWORD).status_code == 200
    assert scene.sign_in(scene.person(1), "wrong", "another").status_code == 401


def test_an_address_tries_few_passwords_of_one_account_and_costs_no_hash_after(
    site: Site, behind_limits: BehindLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(site, behind_limits(RATE_PASSWORDS=f"{ALLOWED}/hour"))
    hashed: list[str] = []
    encode = PBKDF2PasswordHasher.encode

    def counted(self: Any, password: str, *more: Any) -> str:
        hashed.append(password)
        return encode(self, password, *more)

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", counted)
    guesser = scene.person()
    tried = [scene.sign_in(guesser, f"wrong {n}").status_code for n in range(ALLOWED + 2)]
    assert tried == [401] * ALLOWED + [429] * 2
    assert len(set(hashed)) == ALLOWED
    # The crowd behind the same address has accounts of its own; the account, other addresses.
    assert scene.sign_in(guesser, "wrong", "another").status_code == 401
    assert scene.sign_in(scene.person(2), PASSWORD).status_code == 200


def test_accounts_are_limited_with_and_without_the_slash(
    site: Site, behind_limits: BehindLimits
) -> None:
    stranger = Scene(site, behind_limits(RATE_ACCOUNTS="2/hour")).person()
    body = {"username": "new", "password": PASSWORD}
    paths = ["/api/v1/accounts", "/api/v1/accounts/", "/api/v1/%61ccounts", "/api/v1/accounts"]
    answers = [stranger.post(path, body | {"username": f"new{n}"}) for n, path in enumerate(paths)]
    assert [one.status_code for one in answers] == [201, 201, 429, 429]
    assert answers[0].headers["RateLimit-Remaining"] == "1"
    assert answers[1].headers["RateLimit-Remaining"] == "0"


def test_off_counts_nothing_and_refuses_nothing(
    site: Site, behind_limits: BehindLimits, settings: Any
) -> None:
    rates = ("RATE_MISSES", "RATE_ACCOUNTS", "RATE_PASSWORDS", "RATE_REQUESTS", "RATE_POLL_MISSES")
    behind_limits(**dict.fromkeys(rates, "1/hour"))
    settings.RATE_LIMITS = False
    from asgi import application_behind
    from livepoll.rate_limits import RateLimits

    scene = Scene(site, application_behind(RateLimits()))
    for what in ("a voter code, voting", "a password", "an owner key", "a join code, page"):
        guess, status = GUESSES[what]
        answers = {guess(scene, scene.person(), n).status_code for n in range(4)}
        assert answers == {status}, what
