"""Any bytes in the place of a token are refused as a token, and nothing breaks."""

import string
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls import errors
from polls.http.caller import read_caller
from polls.http.request import RawRequest
from polls.http.voter_cookie import COOKIE_NAMES
from polls.identity.client_address import client_address
from polls.identity.voters import mint_device, read_token, token_of

HEADER_TEXT = st.text(st.characters(max_codepoint=255), max_size=300)
SCHEMES = st.sampled_from(["Voter", "voter", "Bearer", "BEARER", "Basic", "", "Voter\t", "Bearer "])


def request_with(headers: list[tuple[bytes, bytes]]) -> RawRequest:
    scope: dict[str, Any] = {
        "path": "/",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "scheme": "http",
    }
    return RawRequest(scope)


@given(st.text(max_size=400))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(errors.InvalidToken):
        read_token(text)


@given(st.integers(0, 10**6), st.sampled_from(string.ascii_letters + string.digits + ".-_=%\x00é"))
def test_a_token_with_one_other_letter_is_none(place: int, letter: str) -> None:
    device = mint_device()
    token = token_of(device)
    place %= len(token)
    forged = token[:place] + letter + token[place + 1 :]
    if forged == token:
        assert read_token(forged) == device
        return
    with pytest.raises(errors.InvalidToken):
        read_token(forged)


@given(SCHEMES, HEADER_TEXT, HEADER_TEXT)
def test_any_authorization_and_cookie_is_somebody_or_refused(
    scheme: str, credentials: str, cookie: str
) -> None:
    try:
        caller = read_caller(
            authorization=f"{scheme} {credentials}", voter_cookie=cookie, address="192.0.2.1"
        )
    except errors.InvalidToken:
        return
    assert caller.device is None
    assert caller.account_id is None


@given(st.binary(max_size=400))
def test_any_cookie_header_is_read(raw: bytes) -> None:
    value = request_with([(b"cookie", raw)]).voter_cookie
    assert isinstance(value, str)


@given(st.lists(st.sampled_from([*'abc;=" ,\\', "voter", "voter=", "; voter=x.y"]), max_size=30))
def test_any_cookie_like_header_is_read(parts: list[str]) -> None:
    assert isinstance(request_with([(b"cookie", "".join(parts).encode())]).voter_cookie, str)


@pytest.mark.parametrize("name", COOKIE_NAMES)
def test_a_good_cookie_among_others_is_found(name: str) -> None:
    token = token_of(mint_device())
    jar = SimpleCookie({"theme": "dark", name: token, "other": "a b"})
    header = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in jar.items())
    assert request_with([(b"cookie", header.encode())]).voter_cookie == token


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_forwarded_header_gives_an_address(values: list[bytes]) -> None:
    request = request_with([(b"x-forwarded-for", value) for value in values])
    assert request.address in ("192.0.2.1", "127.0.0.1")


@given(HEADER_TEXT, HEADER_TEXT)
def test_any_peer_is_an_address(peer: str, forwarded: str) -> None:
    assert isinstance(client_address(peer, forwarded), str)
