"""Data that commit 0e47645 wrote goes on after `migrate`: votes, voters, owners, tokens, receipts.

`tests/data/upgrade-0e47645-*.json` is what that commit stored on each database, and what its
clients keep; `write_data.py` wrote it.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.rules.poll import Derivation
from tests.polls.people import HOST, Json, Site, refusal

DATA = Path(__file__).parent.parent / "data"
FIRST = [("polls", "0001_initial")]  # the only migration of that commit's
# Of these it is not known what token cast them.
SHARED = ("code", "ip")


class Before:
    """What that commit's clients keep."""

    def __init__(self, site: Site, data: Json) -> None:
        self.site = site
        self.accounts: list[Json] = data["accounts"]
        self.polls: list[Json] = data["polls"]

    def request(
        self, method: str, path: str, *, address: str = "192.0.2.1", cookie: str = "", **more: Any
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            from asgi import application

            transport = httpx.ASGITransport(application, client=(address, 5000))
            cookies = {"voter": cookie} if cookie else None
            async with httpx.AsyncClient(
                transport=transport, base_url=HOST, cookies=cookies
            ) as http:
                return await http.request(method, path, **more)

        response: httpx.Response = self.site.run(send())
        return response

    def retry(self, poll: Json, vote: Json, cookie: str) -> httpx.Response:
        """The same request once more."""
        path = f"/api/v1/polls/{poll['id']}/votes/"
        return self.request(
            "POST", path, address=vote["address"], cookie=cookie, json=vote["body"],
            headers=vote["headers"],
        )  # fmt: skip

    def votes(self, *policies: str) -> Iterator[tuple[Json, Json]]:
        for one in self.polls:
            if one["poll"]["voter_policy"] in policies:
                for vote in one["votes"]:
                    yield one["poll"], vote

    def assert_counts_unchanged(self) -> None:
        for one in self.polls:
            path = f"/api/v1/polls/{one['poll']['id']}/results/"
            shown, recorded = self.request("GET", path).json(), dict(one["results"])
            for results in (shown, recorded):
                results.pop("as_of")
            assert shown.items() >= recorded.items()
        for poll_id in Poll.objects.values_list("id", flat=True):
            assert recount_poll(poll_id) == []


@pytest.fixture
def before(transactional_db: None) -> Iterator[Before]:
    """That commit's schema and rows, as `migrate` leaves them; their votes of an hour ago."""
    data = json.loads((DATA / f"upgrade-0e47645-{connection.vendor}.json").read_text())
    call_command("migrate", *FIRST[0], verbosity=0)
    try:
        models = MigrationExecutor(connection).loader.project_state(
            [*FIRST, ("auth", "0012_alter_user_first_name_max_length")]
        ).apps  # fmt: skip
        for label, rows in data["rows"].items():
            model = models.get_model(label)
            model.objects.bulk_create(model(**row) for row in rows)
            with connection.cursor() as cursor:  # ids go on after these
                for sql in connection.ops.sequence_reset_sql(no_style(), [model]):
                    cursor.execute(sql)
        votes = models.get_model("polls.Vote").objects
        newest = max(datetime.fromisoformat(row["cast_at"]) for row in data["rows"]["polls.Vote"])
        for vote in votes.all():
            vote.cast_at += timezone.now() - newest - timedelta(hours=1)
            vote.save()
    finally:
        call_command("migrate", "polls", verbosity=0)
    with Site() as site:
        yield Before(site, data)


def test_every_retry_gets_the_first_answer(before: Before) -> None:
    """By key, token, cookie and account; and by code and address for the token that voted."""
    for poll, vote in before.votes("device", "account", "open"):
        if vote["way"] == "nothing" and poll["voter_policy"] != "account":
            continue  # another voter, then as now
        again = before.retry(poll, vote, vote["cookie"])
        if poll["voter_policy"] == "open" and vote["way"] != "key":
            assert again.status_code == 201
            continue
        assert again.status_code == 200, (poll["question"], vote["way"], again.text)
        assert again.json()["vote"]["seq"] == vote["answer"]["vote"]["seq"]
    for poll, vote in before.votes("device", *SHARED):
        again = before.retry(poll, vote, vote["cookie_after"])
        assert again.status_code == 200, (poll["question"], vote["way"], again.text)
        assert again.json()["vote"]["seq"] == vote["answer"]["vote"]["seq"]
        assert again.json()["voter_token"] == vote["answer"]["voter_token"]


def test_counts_are_unchanged_by_retries_and_a_recount_finds_no_difference(before: Before) -> None:
    assert set(Poll.objects.values_list("derivation", flat=True)) == {Derivation.SHARED}
    before.assert_counts_unchanged()
    for poll, vote in before.votes("device", "account", *SHARED):
        before.retry(poll, vote, vote["cookie_after"])
    before.assert_counts_unchanged()


def test_the_code_or_address_alone_shows_no_vote(before: Before) -> None:
    for poll, vote in before.votes(*SHARED):
        fresh = vote | {"headers": {}}
        again = before.retry(poll, fresh, "")
        assert refusal(again) == (409, "already_voted")
        assert "vote" not in again.json()
        headers = {"Voter-Code": vote["body"].get("voter_code", "")}
        for cookie in ("", vote["cookie_after"]):
            me = before.request(
                "GET", f"/api/v1/polls/{poll['id']}/votes/me/", address=vote["address"],
                cookie=cookie, headers=headers,
            )  # fmt: skip
            assert refusal(me) == (404, "not_voted")
    before.assert_counts_unchanged()


def test_receipts_are_of_the_votes_that_stand(before: Before) -> None:
    for poll, vote in before.votes("device", "account"):
        headers = {} if vote["way"] == "key" else vote["headers"]
        if poll["voter_policy"] == "account":
            headers = vote["headers"]
        path = f"/api/v1/polls/{poll['id']}/votes/me/"
        mine = before.request("GET", path, cookie=vote["cookie_after"], headers=headers).json()
        mine["vote"].pop("cast_at")
        assert mine["vote"].items() <= vote["answer"]["vote"].items()


def test_an_unused_code_and_a_new_voter_vote_by_the_stricter_rule(before: Before) -> None:
    for one in before.polls:
        if one["poll"]["voter_policy"] != "code":
            continue
        path = f"/api/v1/polls/{one['poll']['id']}/votes/"
        body = one["votes"][0]["body"] | {"voter_code": one["codes"][-1]}
        cast = before.request("POST", path, json=body)
        assert cast.status_code == 201
        mine = {"Voter-Code": one["codes"][-1]}
        token = cast.json()["voter_token"]
        shown = before.request("GET", f"{path}me/", headers=mine, cookie=token)
        assert shown.json()["vote"] == cast.json()["vote"]
        assert refusal(before.request("GET", f"{path}me/", headers=mine)) == (404, "not_voted")
        assert refusal(before.request("POST", path, json=body)) == (409, "already_voted")
    assert Vote.objects.filter(caster__isnull=False).count() == 4


def test_an_idempotency_key_is_the_voter_that_it_was(before: Before) -> None:
    """In polls from before it is one voter in all of them; in new ones another in each."""
    by_key = [(poll, vote) for poll, vote in before.votes("device") if vote["way"] == "key"]
    poll, vote = by_key[0]
    tokens = []
    for made_before in (by_key[1][0], poll):
        path = f"/api/v1/polls/{made_before['id']}/votes/"
        body = {"choices": [1]} if made_before["kind"] != "rating" else {"ratings": {"1": 1}}
        answer = before.request("POST", path, json=body, headers=vote["headers"])
        tokens.append(answer.headers.get("set-cookie", "").partition(";")[0])
    assert len(set(tokens)) == 1
    made = before.request(
        "POST", "/api/v1/polls/", json={"question": "?", "options": ["A", "B"]}
    ).json()
    new = before.request(
        "POST", f"/api/v1/polls/{made['id']}/votes/", json={"choices": [1]},
        headers=vote["headers"],
    )  # fmt: skip
    assert new.json()["voter_token"] not in (tokens[0], vote["answer"]["voter_token"])


def test_owners_act_and_accounts_stay_signed_in(before: Before) -> None:
    for one in before.polls:
        key = {"Authorization": f"Bearer {one['poll']['owner_key']}"}
        closed = before.request("POST", f"/api/v1/polls/{one['poll']['id']}/close/", headers=key)
        assert closed.json()["status"] == "closed"
    for account in before.accounts:
        bearer = {"Authorization": f"Bearer {account['access']}"}
        me = before.request("GET", "/api/v1/accounts/me/", headers=bearer)
        assert me.json()["username"] == account["username"]
        renewed = before.request(
            "POST", "/api/v1/accounts/token/refresh/", json={"refresh": account["refresh"]}
        )
        assert renewed.status_code == 200
        bearer = {"Authorization": f"Bearer {renewed.json()['access']}"}
        assert before.request("GET", "/api/v1/accounts/me/", headers=bearer).status_code == 200
