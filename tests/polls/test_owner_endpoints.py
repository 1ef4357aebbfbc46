"""What only an owner asks for: clone/, rotate-key/, voter-codes/; and the public corrections/."""

import csv
import io
import re
from base64 import b64encode
from hashlib import sha256

import pytest

from tests.polls.people import Json, Person, field_errors, refusal


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("POST", "clone"),
        ("POST", "rotate-key"),
        ("GET", "voter-codes"),
        ("POST", "voter-codes"),
        ("POST", "voter-codes/revoke"),
        ("GET", "export/results.csv"),
        ("GET", "export/votes.csv"),
        ("GET", "export/report.pdf"),
    ],
)
def test_outsiders_are_refused(owner: Person, outsider: Person, method: str, name: str) -> None:
    poll = owner.make_poll(voter_policy="code")
    path = f"/api/v1/polls/{poll['id']}/{name}" + ("" if "export" in name else "/")
    body: Json | None = {} if method == "POST" else None
    assert refusal(outsider.request(method, path, json=body)) == (401, "owner_required")
    other = outsider.key_of(outsider.make_poll())
    stranger = outsider.request(method, path, json=body, headers=other)
    assert refusal(stranger) == (403, "not_owner")


def test_a_clone_is_a_draft_without_votes_of_its_own_owner(owner: Person, voter: Person) -> None:
    poll = owner.make_poll("A", "B", "C", kind="multiple", max_choices=2, duration=60)
    voter.vote(poll, 1)
    response = owner.post(f"/api/v1/polls/{poll['id']}/clone/", headers=owner.key_of(poll))
    assert response.status_code == 201
    clone = response.json()
    assert clone["owner_key"] != owner.key_of(poll)["Authorization"].removeprefix("Bearer ")
    assert clone["id"] != poll["id"]
    assert clone["code"] != poll["code"]
    assert (clone["status"], clone["version"], clone["closes_at"]) == ("draft", 0, None)
    for same in ("question", "options", "kind", "min_choices", "max_choices", "duration"):
        assert clone[same] == poll[same]
    assert voter.results(clone)["voters"] == 0


def test_a_new_key_ends_the_old_one(owner: Person) -> None:
    poll = owner.make_poll()
    old = owner.key_of(poll)
    response = owner.post(f"/api/v1/polls/{poll['id']}/rotate-key/", headers=old)
    new = {"Authorization": f"Bearer {response.json()['owner_key']}"}
    path = f"/api/v1/polls/{poll['id']}/close/"
    assert refusal(owner.post(path, headers=old)) == (403, "not_owner")
    assert owner.post(path, headers=new).status_code == 200


def test_corrections_after_votes_are_public(owner: Person, voter: Person, outsider: Person) -> None:
    poll = owner.make_poll("Red", "Gren")
    path = f"/api/v1/polls/{poll['id']}/"
    owner.patch(path, {"options": ["Red", "Gruen"]}, owner.key_of(poll))
    assert outsider.get(f"{path}corrections/").json() == {"corrections": []}
    number = owner.get(path).json()["options"][1]["id"]
    voter.vote(poll, number)
    owner.patch(path, {"options": ["Red", "Green"]}, owner.key_of(poll))
    (made,) = outsider.get(f"{path}corrections/").json()["corrections"]
    assert made.pop("corrected_at").endswith("Z")
    assert made == {"option": number, "old_text": "Gruen", "new_text": "Green", "version": 1}


def test_voter_codes_come_as_json_csv_or_a_sheet_to_print(owner: Person) -> None:
    poll = owner.make_poll(voter_policy="code", question="<script>?")
    path = f"/api/v1/polls/{poll['id']}/voter-codes/"
    key = owner.key_of(poll)
    first = owner.post(path, {"count": 2}, key).json()["codes"]
    table = owner.post(path, {"count": 2}, key | {"Accept": "text/csv"})
    sheet = owner.post(path, {"count": 1}, key | {"Accept": "text/html"})

    assert [code["number"] for code in first] == [1, 2]
    assert (table.status_code, sheet.status_code) == (201, 201)
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["number"] for row in rows] == ["3", "4"]
    assert all(row["link"].endswith(f"/p/{poll['code']}/#code={row['code']}") for row in rows)
    assert "<script>?" not in sheet.text
    assert sheet.text.count("data:image/svg+xml") == 1
    assert re.search(r'<li value="5">.*</b> <small>#5</small>', sheet.text)
    codes = {code["code"] for code in first} | {row["code"] for row in rows}
    assert len(codes) == 4
    listed = owner.get(path, key).json()["results"]
    assert [code["number"] for code in listed] == [1, 2, 3, 4, 5]


def test_a_sheet_has_its_style_within_wherever_it_is_opened(owner: Person) -> None:
    poll = owner.make_poll(voter_policy="code")
    accept = owner.key_of(poll) | {"Accept": "text/html"}
    sheet = owner.post(f"/api/v1/polls/{poll['id']}/voter-codes/", {"count": 1}, accept)
    [style] = re.findall(r"<style>(.*?)</style>", sheet.text, re.DOTALL)
    assert "<link" not in sheet.text
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    for response in (sheet, owner.get(f"/p/{poll['code']}/manage/")):
        assert f"'sha256-{hashed}'" in response.headers["Content-Security-Policy"]


def test_voter_codes_are_bounded_and_only_for_code_polls(owner: Person) -> None:
    poll, other = owner.make_poll(voter_policy="code"), owner.make_poll()
    path = f"/api/v1/polls/{poll['id']}/voter-codes/"
    key = owner.key_of(poll)
    for count, code in ((0, "min_value"), (10_001, "max_value"), ("x", "invalid")):
        assert field_errors(owner.post(path, {"count": count}, key)) == [("count", code)]
    unknown = owner.post(f"{path}revoke/", {"numbers": [7]}, key)
    assert refusal(unknown) == (404, "not_found")
    elsewhere = owner.post(
        f"/api/v1/polls/{other['id']}/voter-codes/", {"count": 1}, owner.key_of(other)
    )
    assert refusal(elsewhere) == (409, "not_code_poll")


def account(person: Person, name: str) -> dict[str, str]:
    """The header of a new account."""
    body = {"username": name, "password": "correct horse 7"}
    access = person.post("/api/v1/accounts/", body).json()["access"]
    return {"Authorization": f"Bearer {access}"}


def test_an_account_owns_what_it_makes(owner: Person, outsider: Person) -> None:
    mine, theirs = account(owner, "olga"), account(outsider, "otto")
    body = {"question": "?", "options": ["A", "B"], "results_visibility": "owner"}
    poll = owner.post("/api/v1/polls/", body, mine).json()
    assert "owner_key" not in poll
    path = f"/api/v1/polls/{poll['id']}/"
    refused = outsider.delete(path, theirs)
    assert refusal(refused) == (403, "not_owner")
    assert "account" in refused.json()["detail"]
    assert refusal(outsider.delete(path)) == (401, "owner_required")
    assert owner.get(f"{path}results/", mine).status_code == 200
    assert refusal(outsider.get(f"{path}results/", theirs)) == (403, "results_hidden")
    assert owner.delete(path, mine).status_code == 204


def test_a_forged_account_token_is_refused(owner: Person) -> None:
    forged = {"Authorization": account(owner, "olga")["Authorization"][:-4] + "AAAA"}
    body = {"question": "?", "options": ["A", "B"]}
    assert refusal(owner.post("/api/v1/polls/", body, forged)) == (401, "invalid_token")
    poll = owner.make_poll()
    assert refusal(owner.vote(poll, 1, **forged)) == (401, "invalid_token")
    assert refusal(owner.get("/api/v1/accounts/me/", forged)) == (401, "invalid_token")


def test_without_a_token_an_account_reads_what_is_missing(owner: Person) -> None:
    refused = owner.get("/api/v1/accounts/me/")
    assert refusal(refused) == (401, "invalid_token")
    assert "access token" in refused.json()["detail"]
