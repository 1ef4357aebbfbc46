"""Voter codes: a thousand of them, each worth one vote, stored as hashes only."""

import threading
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from polls.identity import voter_codes
from polls.identity.voters import Identity
from polls.models import Poll, Vote
from polls.recount import recount_poll
from polls.rules.deciding import Verdict
from polls.services import create_poll
from polls.voting.committer import record_votes
from polls.voting.vote import Cast, Outcome
from tests.polls.database_dump import dump
from tests.polls.people import Json, Person, field_errors, refusal

CODES = 1_000


@pytest.fixture
def poll() -> Poll:
    made, _ = create_poll(question="?", options=["A", "B"], voter_policy="code")
    return made


def cast(poll: Poll, code: str, choice: int) -> Cast:
    return Cast(poll.id, Identity("", "", "", voter_code=code), {"choices": [choice]})


def verdicts(outcomes: Sequence[Outcome]) -> set[str]:
    """Verdicts, and codes of refusals."""
    return {one.error.code if one.error else one.verdict for one in outcomes}


@pytest.mark.django_db
@pytest.mark.usefixtures("no_screens")
def test_a_thousand_codes_count_once_each(poll: Poll) -> None:
    made = voter_codes.make_voter_codes(poll.id, CODES)
    codes = [code for _, code in made]
    assert sorted(number for number, _ in made) == list(range(1, CODES + 1))
    assert len(set(codes)) == CODES

    first = record_votes([cast(poll, code, 1 + at % 2) for at, code in enumerate(codes)])
    assert verdicts(first) == {Verdict.ACCEPTED}
    again = record_votes([cast(poll, code.lower(), 1 + at % 2) for at, code in enumerate(codes)])
    assert verdicts(again) == {Verdict.REPEATED}
    other = record_votes([cast(poll, code, 2 - at % 2) for at, code in enumerate(codes)])
    assert verdicts(other) == {"already_voted"}
    poll.refresh_from_db()
    assert (poll.voters, poll.counts) == (CODES, {"1": CODES // 2, "2": CODES // 2})
    assert all(one.is_used for one in voter_codes.list_voter_codes(poll.id))
    assert recount_poll(poll.id) == []


@pytest.mark.django_db
@pytest.mark.usefixtures("no_screens")
def test_revoked_codes_are_refused_and_what_they_voted_before_stays(poll: Poll) -> None:
    made = voter_codes.make_voter_codes(poll.id, CODES)
    used, unused = made[: CODES // 2], made[CODES // 2 :]
    record_votes([cast(poll, code, 1) for _, code in used])

    revoked = voter_codes.revoke_voter_codes(poll.id, [number for number, _ in made])
    assert revoked == CODES
    assert voter_codes.revoke_voter_codes(poll.id, [number for number, _ in made]) == 0

    assert verdicts(record_votes([cast(poll, code, 2) for _, code in unused])) == {
        "invalid_voter_code"
    }
    assert verdicts(record_votes([cast(poll, code, 1) for _, code in used])) == {
        "invalid_voter_code"
    }
    poll.refresh_from_db()
    assert poll.counts == {"1": CODES // 2, "2": 0}


@pytest.mark.django_db
@pytest.mark.usefixtures("no_screens")
def test_codes_of_one_poll_are_worth_nothing_in_another(poll: Poll) -> None:
    other, _ = create_poll(question="?", options=["A", "B"], voter_policy="code")
    codes = [code for _, code in voter_codes.make_voter_codes(other.id, 20)]
    assert verdicts(record_votes([cast(poll, code, 1) for code in codes])) == {"invalid_voter_code"}


@pytest.mark.django_db
@pytest.mark.usefixtures("no_screens")
def test_a_reset_makes_the_codes_good_again(poll: Poll) -> None:
    from polls.services import reset_poll

    [(_, code)] = voter_codes.make_voter_codes(poll.id, 1)
    record_votes([cast(poll, code, 1)])
    reset_poll(poll.id)
    assert not voter_codes.list_voter_codes(poll.id)[0].is_used
    assert verdicts(record_votes([cast(poll, code, 2)])) == {Verdict.ACCEPTED}


@pytest.mark.servers
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_screens")
def test_two_who_use_a_code_at_once_count_once(poll: Poll) -> None:
    """Every code twice at the same moment, for different options, in batches of four."""
    codes = [code for _, code in voter_codes.make_voter_codes(poll.id, CODES // 2)]
    start = threading.Barrier(2, timeout=30)

    def vote_with_all(choice: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            for at in range(0, len(codes), 4):
                start.wait()
                outcomes += record_votes([cast(poll, code, choice) for code in codes[at : at + 4]])
        except BaseException:
            start.abort()
            raise
        finally:
            connection.close()
        return outcomes

    with ThreadPoolExecutor(2) as pool:
        both = [task.result(60) for task in [pool.submit(vote_with_all, n) for n in (1, 2)]]

    for one, other in zip(*both, strict=True):
        assert {one.verdict, other.verdict} == {Verdict.ACCEPTED, Verdict.REFUSED}
        assert verdicts([one, other]) == {Verdict.ACCEPTED, "already_voted"}
    poll.refresh_from_db()
    assert poll.voters == sum(poll.counts.values()) == poll.version == len(codes)
    assert Vote.objects.filter(poll=poll).count() == len(codes)
    assert recount_poll(poll.id) == []


@pytest.mark.servers
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_screens")
def test_codes_made_at_once_have_numbers_of_their_own(poll: Poll) -> None:
    def make(_: int) -> list[tuple[int, str]]:
        try:
            return voter_codes.make_voter_codes(poll.id, 50)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        made = [one for codes in pool.map(make, range(3)) for one in codes]
    assert sorted(number for number, _ in made) == list(range(1, 151))


# Over HTTP


def code_poll(owner: Person, count: int) -> tuple[Json, str, list[str]]:
    """A poll, the address of its codes, and the codes."""
    poll = owner.make_poll(voter_policy="code")
    path = f"/api/v1/polls/{poll['id']}/voter-codes/"
    made = owner.post(path, {"count": count}, owner.key_of(poll)).json()["codes"]
    return poll, path, [one["code"] for one in made]


def test_no_code_stands_in_the_database(owner: Person, voter: Person) -> None:
    poll, _, codes = code_poll(owner, 50)
    for code in codes[:25]:
        body = {"choices": [1], "voter_code": code}
        answer = voter.post(f"/api/v1/polls/{poll['id']}/votes/", body)
        assert answer.status_code == 201
    stored = dump()
    assert poll["id"] in stored or poll["id"].replace("-", "") in stored
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]


@pytest.mark.parametrize("accepted", ["application/json", "text/csv", "text/html", "*/*"])
def test_the_list_of_codes_is_json_that_shows_none_of_them(owner: Person, accepted: str) -> None:
    poll, path, codes = code_poll(owner, 2)
    listed = owner.get(path, {**owner.key_of(poll), "Accept": accepted})
    assert listed.status_code == 200
    assert listed.headers["content-type"] == "application/json"
    assert [one["number"] for one in listed.json()["results"]] == [1, 2]
    assert not [code for code in codes if code in listed.text]


def test_codes_are_listed_in_pages_of_a_hundred_at_most(owner: Person) -> None:
    poll, path, codes = code_poll(owner, 250)
    body = {"choices": [1], "voter_code": codes[0]}
    assert owner.post(f"/api/v1/polls/{poll['id']}/votes/", body).status_code == 201
    found: list[int] = []
    sizes: list[int] = []
    address = path
    while address:
        page = owner.get(address, owner.key_of(poll)).json()
        if not found:
            assert (page["count"], page["used"], page["previous"]) == (250, 1, None)
        found += [one["number"] for one in page["results"]]
        sizes.append(len(page["results"]))
        address = page["next"]
    assert (found, sizes) == (list(range(1, 251)), [100, 100, 50])
    short = owner.get(f"{path}?page_size=1", owner.key_of(poll)).json()
    assert [one["used"] for one in short["results"]] == [True]


@pytest.mark.parametrize("size", ["0", "101", "-1", "x", "1e1", "", "\uff19", "9" * 5000])
def test_a_page_size_that_is_none_is_refused(owner: Person, size: str) -> None:
    poll, path, _ = code_poll(owner, 1)
    for address in (path, "/api/v1/polls/"):
        refused = owner.get(f"{address}?page_size={size}", owner.key_of(poll))
        assert field_errors(refused) == [("page_size", "invalid")]


@pytest.mark.parametrize("position", ["x", "-1", "1.5", "2026-01-01", "9" * 30])
def test_a_forged_cursor_finds_nothing(owner: Person, position: str) -> None:
    poll, path, _ = code_poll(owner, 1)
    cursor = b64encode(f"p={position}".encode()).decode()
    refused = owner.get(f"{path}?cursor={cursor}", owner.key_of(poll))
    assert refusal(refused) == (404, "not_found")


@pytest.mark.parametrize("accepted", ["text/csv", "text/html"])
def test_a_refusal_is_a_problem_in_every_requested_format(owner: Person, accepted: str) -> None:
    poll, path, _ = code_poll(owner, 1)
    refused = owner.post(path, {"count": 0}, {**owner.key_of(poll), "Accept": accepted})
    assert refused.status_code == 400
    assert refused.json()["code"] == "invalid"


@pytest.mark.parametrize("accepted", ["application/json", "text/csv", "text/html"])
def test_codes_are_kept_by_no_cache(owner: Person, accepted: str) -> None:
    poll, path, _ = code_poll(owner, 1)
    made = owner.post(path, {"count": 1}, {**owner.key_of(poll), "Accept": accepted})
    assert made.status_code == 201
    assert "no-store" in made.headers.get("cache-control", "")


def test_a_used_code_lets_its_voter_see_the_vote_and_nobody_else(owner: Person) -> None:
    poll, _, [used, unused] = code_poll(owner, 2)
    body = {"choices": [2], "voter_code": used}
    assert owner.post(f"/api/v1/polls/{poll['id']}/votes/", body).status_code == 201
    mine = f"/api/v1/polls/{poll['id']}/votes/me/"
    assert owner.get(mine, {"Voter-Code": used}).json()["vote"]["choices"] == [2]
    assert owner.get(mine, {"Voter-Code": unused}).status_code == 404
    assert owner.get(mine).status_code == 404
