"""One address in all its spellings is one voter and one count."""

from typing import Any

import pytest

from polls.identity.client_address import client_address


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5678", "192.0.2.7"),
        (' "192.0.2.7:80" ', "192.0.2.7"),
        ("[::1]:80", "::"),
        ("[2001:db8::7]", "2001:db8::"),
        ('"[2001:DB8:0::7]:4711"', "2001:db8::"),
        ("2001:0db8:0000:0000::9", "2001:db8::"),
        ("2001:db8::9%eth0", "2001:db8::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:c000:207]:5", "192.0.2.7"),
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
        ("unknown", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("192.0.2.007", "10.0.0.1"),
    ],
)
def test_an_address_behind_a_proxy_has_one_spelling(
    entry: str, address: str, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    assert client_address("10.0.0.1", f"203.0.113.9, {entry}" if entry else "") == address


@pytest.mark.parametrize("claim", ["192.0.2.7", "192.0.2.7:1", "::ffff:192.0.2.7", '"192.0.2.7"'])
def test_a_peer_that_stands_in_the_header_is_a_claim_in_any_spelling(
    claim: str, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 0
    assert client_address("192.0.2.7", claim) == "127.0.0.1"
