"""GET …/export/results.csv | votes.csv | report.pdf"""

import csv
import io
import re
import zlib
from base64 import a85decode
from io import StringIO

import pytest
from django.test import Client

from exports.csv_cells import csv_lines, safe_cell
from polls.models import Vote
from tests.polls.people import Json, Person, Site, refusal

EXPORTS = ("results.csv", "votes.csv", "report.pdf")


def path(poll: Json, name: str) -> str:
    return f"/api/v1/polls/{poll['id']}/export/{name}"


def rows(owner: Person, poll: Json, name: str) -> list[dict[str, str]]:
    answer = owner.get(path(poll, name), owner.key_of(poll))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_a_file_for_its_owner_that_no_cache_keeps(
    owner: Person, outsider: Person, name: str
) -> None:
    poll = owner.make_poll()
    answer = owner.get(path(poll, name), owner.key_of(poll))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="poll-{poll["code"]}-{name}"'
    )
    assert answer.headers["cache-control"] == "no-store"
    assert refusal(outsider.get(path(poll, name))) == (401, "owner_required")
    by_code = f"/api/v1/polls/{poll['code'].lower()}/export/{name}"
    assert owner.get(by_code, owner.key_of(poll)).status_code == 200


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("accepted", ["*/*", "text/html,*/*;q=0.8", "text/csv, application/pdf"])
def test_an_export_comes_with_any_accept_header(owner: Person, name: str, accepted: str) -> None:
    poll = owner.make_poll()
    answer = owner.get(path(poll, name), {**owner.key_of(poll), "Accept": accepted})
    assert answer.status_code == 200


def test_results_have_a_row_an_option(owner: Person, site: Site) -> None:
    poll = owner.make_poll("Red", "Green, or so", "“Blue”")
    for choice in (1, 2, 2):
        site.person().vote(poll, choice)
    assert rows(owner, poll, "results.csv") == [
        {"option": "1", "text": "Red", "count": "1"},
        {"option": "2", "text": "Green, or so", "count": "2"},
        {"option": "3", "text": "“Blue”", "count": "0"},
    ]


def test_results_of_ratings_have_means(owner: Person, site: Site) -> None:
    poll = owner.make_poll("Red", "Green", kind="rating")
    for stars in (5, 2):
        ballot = {"ratings": {"1": stars}}
        site.person().post(f"/api/v1/polls/{poll['id']}/votes/", ballot)
    assert rows(owner, poll, "results.csv") == [
        {"option": "1", "text": "Red", "count": "2", "mean": "3.5"},
        {"option": "2", "text": "Green", "count": "0", "mean": ""},
    ]


STARTS = [
    "=",
    "+",
    "-",
    "@",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
    "\u2212",
    "\ufe66",
    " =",
    '"=',
    "\0=",
]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    "before", ["", "Red;", "Red; ", "Red\t", "Red\r", "Red\n", "Red|", "Red;;"]
)
def test_no_cell_is_a_formula_whichever_separator_the_spreadsheet_splits_at(
    before: str, start: str
) -> None:
    [line] = csv_lines([["1", f"{before}{start}HYPERLINK(1)", 5]])
    for separator in ",;\t|":
        # Also as Excel reads it where our separator is not its own: quotes in a cell are text.
        quoted = list(csv.reader(StringIO(line, newline=""), delimiter=separator))
        split = [part.split(separator) for part in re.split(r"[\r\n]", line)]
        for cell in (cell for row in (*quoted, *split) for cell in row):
            assert not cell.lstrip(' "\0').startswith(
                tuple("=+-@\uff1d\uff0b\uff0d\uff20\u2212\ufe66")
            )


@pytest.mark.parametrize(
    "text", ["Red", "5 = 5", "a-b", "1+1 = 2", "x; y", "A;B", "", "semi ; colon"]
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


def test_options_that_would_be_formulas_are_text_in_the_export(owner: Person) -> None:
    evil = '=HYPERLINK("https://evil.example","Red")'
    poll = owner.make_poll(evil, "@SUM(1)", "+1", "-1", "5 = 5")
    texts = [row["text"] for row in rows(owner, poll, "results.csv")]
    assert texts == [f"'{evil}", "'@SUM(1)", "'+1", "'-1", "5 = 5"]


def test_every_vote_event_of_every_epoch_is_kept_for_the_owner(
    owner: Person, voter: Person, neighbour: Person
) -> None:
    poll = owner.make_poll("A", "B", "C", kind="multiple", vote_change=True)
    voter.vote(poll, 1)
    voter.vote(poll, 3, 2)
    neighbour.vote(poll, 1)
    neighbour.delete(f"/api/v1/polls/{poll['id']}/votes/me/")
    owner.act(poll, "reset")
    voter.vote(poll, 2)

    exported = rows(owner, poll, "votes.csv")
    assert all(row.pop("cast_at").endswith("Z") for row in exported)
    columns = ("epoch", "seq", "counted", "replaces", "choices")
    assert [tuple(row.values()) for row in exported] == [
        ("1", "1", "0", "", "1"),
        ("1", "2", "1", "1", "2 3"),
        ("1", "3", "0", "", "1"),
        ("1", "4", "0", "3", ""),
        ("2", "1", "1", "", "2"),
    ]
    assert tuple(exported[0]) == columns
    assert len(rows(owner, poll, "votes.csv?epoch=1")) == 4
    assert len(rows(owner, poll, "votes.csv?epoch=2")) == 1
    assert rows(owner, poll, "votes.csv?epoch=3") == []
    assert owner.results(poll)["counts"] == {"1": 0, "2": 1, "3": 0}


def test_each_kind_of_ballot_has_its_form(owner: Person, voter: Person) -> None:
    ranked = owner.make_poll("A", "B", "C", kind="ranked")
    voter.vote(ranked, 3, 1)
    rating = owner.make_poll("A", "B", kind="rating")
    voter.post(f"/api/v1/polls/{rating['id']}/votes/", {"ratings": {"2": 1, "1": 5}})
    assert [row["choices"] for row in rows(owner, ranked, "votes.csv")] == ["3 1"]
    assert [row["choices"] for row in rows(owner, rating, "votes.csv")] == ["1:5 2:1"]


@pytest.mark.parametrize("epoch", ["x", "-1", "1.5", "99999999999999999999", ""])
def test_an_epoch_that_is_no_number_is_named(owner: Person, epoch: str) -> None:
    poll = owner.make_poll()
    answer = owner.get(f"{path(poll, 'votes.csv')}?epoch={epoch}", owner.key_of(poll))
    assert refusal(answer) == (400, "invalid")
    assert answer.json()["errors"][0]["field"] == "epoch"


def test_exports_name_no_voter(owner: Person, voter: Person) -> None:
    for policy in ("device", "ip", "open"):
        poll = owner.make_poll(voter_policy=policy)
        token = voter.vote(poll, 1).json()["voter_token"]
        stored = Vote.objects.get(poll_id=poll["id"]).voter
        for name in EXPORTS:
            answer = owner.get(path(poll, name), owner.key_of(poll))
            text = pdf_text(answer.content) if name.endswith("pdf") else answer.text
            for secret in (token, token.partition(".")[0], str(stored), stored.hex, "198.51.100"):
                assert secret not in text


def pdf_text(content: bytes) -> str:
    """What the pages of a ReportLab file say, as far as it is plain."""
    found = [content.decode("latin-1")]
    for data in re.findall(rb"(?<!end)stream\r?\n(.*?)endstream", content, re.DOTALL):
        found.append(zlib.decompress(a85decode(data.strip(), adobe=True)).decode("latin-1"))
    return "\n".join(found)


@pytest.mark.parametrize("kind", ["single", "multiple", "ranked", "rating"])
def test_the_report_is_a_pdf(owner: Person, voter: Person, kind: str) -> None:
    poll = owner.make_poll(
        "<b>Red</b> & co", "Grün", "红色", kind=kind, question="Was <i>nun</i> & warum?"
    )
    ballot = {"ratings": {"1": 5}} if kind == "rating" else {"choices": [1]}
    voter.post(f"/api/v1/polls/{poll['id']}/votes/", ballot)
    answer = owner.get(path(poll, "report.pdf"), owner.key_of(poll))
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF")
    assert answer.content.rstrip().endswith(b"%%EOF")
    assert "1 voters, version 1 of epoch 1." in pdf_text(answer.content).replace("\\", "")


def test_a_report_of_the_longest_texts_and_most_options_is_made(owner: Person) -> None:
    poll = owner.make_poll(
        *(f"{number:02} {'w' * 197}" for number in range(50)),
        question="q" * 300,
        description="d" * 2000,
    )
    answer = owner.get(path(poll, "report.pdf"), owner.key_of(poll))
    assert answer.content.startswith(b"%PDF")


@pytest.mark.parametrize("name", EXPORTS)
def test_below_min_voters_there_is_nothing_to_take_along(
    owner: Person, voter: Person, neighbour: Person, name: str
) -> None:
    poll = owner.make_poll(min_voters=2)
    voter.vote(poll, 1)
    assert refusal(owner.get(path(poll, name), owner.key_of(poll))) == (403, "results_hidden")
    neighbour.vote(poll, 2)
    assert owner.get(path(poll, name), owner.key_of(poll)).status_code == 200


def test_votes_are_streamed(owner: Person, voter: Person) -> None:
    poll = owner.make_poll()
    voter.vote(poll, 1)
    response = Client().get(path(poll, "votes.csv"), headers=owner.key_of(poll))
    assert response.streaming
    lines = iter(response.streaming_content)  # type: ignore[attr-defined]
    assert next(lines).startswith(b"epoch,")
    Vote.objects.all().delete()  # what is sent is read as it is sent
    assert list(lines) == []
