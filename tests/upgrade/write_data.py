"""Writes the data of `test_upgrade.py` as an earlier commit leaves it: run in a checkout of that.

    git worktree add ../before 0e47645 && cd ../before
    DATABASE_URL=… SECRET_KEY=… RATE_LIMITS=off python …/tests/upgrade/write_data.py > data.json

Polls of every kind under every voter policy; votes by code, account, address, Idempotency-Key,
voter token and cookie, through that commit's own application; then every row that it stored, and
what its clients keep: owner keys, tokens, cookies, receipts.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livepoll.settings")

import django

django.setup()

import httpx  # noqa: E402
from django.apps import apps  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.serializers.json import DjangoJSONEncoder  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402

KINDS = ("single", "multiple", "ranked", "rating")
POLICIES = ("device", "account", "code", "ip", "open")
TABLES = ("auth.User", "polls.Poll", "polls.Option", "polls.VoterCode", "polls.Vote")
# How each of a poll's voters proves who they are, besides what the policy asks for.
WAYS = ("nothing", "key", "token", "cookie")
PASSWORD = "correct horse battery"
HUNDRED_YEARS = timedelta(days=36525)

Json = dict[str, Any]


def client(address: str = "192.0.2.1") -> httpx.AsyncClient:
    from asgi import application

    transport = httpx.ASGITransport(application, client=(address, 5000))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def write() -> Json:
    async with client() as http:
        accounts = [await sign_up(http, name) for name in WAYS]
        polls = [await write_poll(http, kind, policy, accounts)
                 for kind in KINDS for policy in POLICIES]  # fmt: skip
    return {"accounts": accounts, "polls": polls}


async def sign_up(http: httpx.AsyncClient, name: str) -> Json:
    body = {"username": name, "password": PASSWORD}
    made = await http.post("/api/v1/accounts/", json=body)
    made.raise_for_status()
    return body | await asyncio.to_thread(lasting_tokens, made.json()["id"])


def lasting_tokens(account: int) -> Json:
    """As that commit signs them, but for the time that they last."""
    refresh = RefreshToken.for_user(User.objects.get(pk=account))
    access = refresh.access_token
    for token in (refresh, access):
        token.set_exp(lifetime=HUNDRED_YEARS)
    return {"access": str(access), "refresh": str(refresh)}


async def write_poll(http: httpx.AsyncClient, kind: str, policy: str, accounts: list[Json]) -> Json:
    body = {"question": f"{kind} by {policy}?", "options": ["A", "B", "C"], "kind": kind,
            "voter_policy": policy}  # fmt: skip
    made = (await http.post("/api/v1/polls/", json=body)).json()
    path = f"/api/v1/polls/{made['id']}/"
    codes: list[str] = []
    if policy == "code":
        owner = {"Authorization": f"Bearer {made['owner_key']}"}
        wanted = {"count": len(WAYS) + 1}
        answer = await http.post(f"{path}voter-codes/", json=wanted, headers=owner)
        codes = [one["code"] for one in answer.json()["codes"]]
    votes = []
    for number, way in enumerate(WAYS):
        ballot: Json = {"ratings": {"1": 5, "3": 1 + number}} if kind == "rating" else {
            "choices": [1 + number % 3]}  # fmt: skip
        if codes:
            ballot["voter_code"] = codes[number]
        headers = {}
        if way == "key":
            headers["Idempotency-Key"] = f"key-{kind}"  # the same in polls of all policies
        if way == "token":
            token = (await http.post("/api/v1/voters/")).json()["voter_token"]
            headers["Authorization"] = f"Voter {token}"
        if policy == "account":
            headers["Authorization"] = f"Bearer {accounts[number]['access']}"
        votes.append(await vote(f"{path}votes/", way, f"198.51.100.{number}", ballot, headers))
    results = (await http.get(f"{path}results/")).json()
    return {"poll": made, "codes": codes, "votes": votes, "results": results}


async def vote(path: str, way: str, address: str, ballot: Json, headers: dict[str, str]) -> Json:
    async with client(address) as http:
        cookie = ""
        if way == "cookie":  # of a vote elsewhere: pages have one from their first vote on
            other = {"question": "?", "options": ["A", "B"]}
            first = (await http.post("/api/v1/polls/", json=other)).json()
            await http.post(f"/api/v1/polls/{first['id']}/votes/", json={"choices": [1]})
            cookie = http.cookies["voter"]
        answer = await http.post(path, json=ballot, headers=headers)
        assert answer.status_code == 201, answer.text
        return {
            "way": way, "address": address, "body": ballot, "headers": headers, "cookie": cookie,
            "answer": {name: answer.json()[name] for name in ("vote", "voter_token")},
            "cookie_after": http.cookies.get("voter", ""),
        }  # fmt: skip


def rows_of(label: str) -> list[Json]:
    model = apps.get_model(label)
    names = [field.attname for field in model._meta.concrete_fields]
    order = "seq" if label == "polls.Vote" else "pk"
    return list(model.objects.order_by(order).values(*names))


def main() -> None:
    call_command("migrate", verbosity=0)
    kept = asyncio.run(write())
    rows = {label: rows_of(label) for label in TABLES}
    print(json.dumps(kept | {"rows": rows}, cls=DjangoJSONEncoder, separators=(",", ":")))
    sys.stdout.flush()
    os._exit(0)  # that commit's threads end with the process


main()
