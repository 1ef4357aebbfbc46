"""`embed_origins`: which sites may show a poll's big screen in a frame."""

import pytest

from tests.polls.people import Person, field_errors


def test_the_owner_sets_them_and_a_copy_keeps_them(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll(embed_origins=["https://Example.com/", "http://localhost:3000"])
    assert poll["embed_origins"] == ["https://example.com", "http://localhost:3000"]
    path = f"/api/v1/polls/{poll['id']}/"
    assert outsider.get(path).json()["embed_origins"] == poll["embed_origins"]
    copy = owner.post(f"{path}clone/", headers=owner.key_of(poll)).json()
    assert copy["embed_origins"] == poll["embed_origins"]
    edited = owner.patch(path, {"embed_origins": ["https://[2001:db8::1]"]}, owner.key_of(poll))
    assert edited.json()["embed_origins"] == ["https://[2001:db8::1]"]
    assert owner.patch(path, {"embed_origins": []}, owner.key_of(poll)).status_code == 200
    assert outsider.get(path).json()["embed_origins"] == []


def test_they_may_change_while_people_vote(owner: Person, outsider: Person) -> None:
    poll = owner.make_poll()
    outsider.vote(poll, 1)
    path = f"/api/v1/polls/{poll['id']}/"
    edited = owner.patch(path, {"embed_origins": ["https://a.org"]}, owner.key_of(poll))
    assert edited.status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        *("example.com", "https://", "https://example.com/page", "https://*.example.com", "*"),
        *("https://example.com; script-src *", "https://example.com 'self'", "'none'"),
        *("javascript://example.com", "https://a@example.com", "https://example.com:port"),
        *("https://example.com\r\nX: y", "https://", "https://exa mple.com", "https://-a.com"),
    ],
)
def test_what_is_no_full_origin_is_refused_beside_its_field(owner: Person, origin: str) -> None:
    body = {"question": "Which?", "options": ["A", "B"], "embed_origins": [origin]}
    response = owner.post("/api/v1/polls/", body)
    assert field_errors(response) == [("embed_origins.0", "invalid_origin")]


def test_there_may_be_twenty(owner: Person) -> None:
    origins = [f"https://{number}.example.com" for number in range(21)]
    body = {"question": "Which?", "options": ["A", "B"], "embed_origins": origins}
    assert field_errors(owner.post("/api/v1/polls/", body)) == [("embed_origins", "max_length")]
    assert owner.post("/api/v1/polls/", body | {"embed_origins": origins[:20]}).status_code == 201
