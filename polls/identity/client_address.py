"""The client's address behind proxies: of X-Forwarded-For, only what a trusted one wrote."""

import os
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings

# Uvicorn's own variable. Without it, a bare `uvicorn asgi:application` puts X-Forwarded-For of any
# peer on this machine, a proxy too, in the peer's place.
_may_be_claimed = "FORWARDED_ALLOW_IPS" not in os.environ
_THIS_MACHINE = "127.0.0.1"
# An IPv6 address with a port, brackets, quotes and blanks has 60.
_ENTRY_CHARACTERS = 80
# RFC 6052: all of IPv4 in one /64, as phones without IPv4 reach it.
_IPV4_IN_IPV6 = IPv6Network("64:ff9b::/96")


def client_address(peer: str, forwarded_for: str) -> str:
    """The address for limits and voting: with N trusted proxies the Nth entry from the right.

    Entries left of that are the client's own claim and are ignored. An entry that is no address
    (`unknown`) stands for the peer. Without trusted proxies a peer that stands in the header is a
    claim too; all who make one share one address.
    """
    subscriber = subscriber_of(peer)
    if not forwarded_for:
        return subscriber
    hops = settings.TRUSTED_PROXIES
    if not (hops or _may_be_claimed):
        return subscriber
    # No more than what proxies may have written: clients fill the rest with what they like.
    end = forwarded_for[-_ENTRY_CHARACTERS * max(hops, 1) :]
    claimed = [entry for entry in end.split(",") if entry.strip()]
    if hops:
        found = _subscriber_in(claimed[-hops]) if len(claimed) >= hops else ""
        return found or subscriber
    return _THIS_MACHINE if subscriber in map(_subscriber_in, claimed) else subscriber


def trust_peers() -> None:
    """For a server that never puts X-Forwarded-For in the peer's place, as `manage.py serve`."""
    global _may_be_claimed
    _may_be_claimed = False


@lru_cache(maxsize=10_000)
def subscriber_of(address: str) -> str:
    """An address as one subscriber has it, in one spelling: IPv6 by its /64, IPv4 as it is.

    What is no address stays as it is.
    """
    return _subscriber_in(address) or address


def _subscriber_in(entry: str) -> str:
    """The subscriber of an entry in any spelling: with port, brackets, quotes; empty for none."""
    return _parse(entry) if len(entry) <= _ENTRY_CHARACTERS else ""


@lru_cache(maxsize=10_000)
def _parse(entry: str) -> str:
    try:
        ip = ip_address(_without_port(entry.strip().strip('"')))
    except ValueError:
        return ""
    if isinstance(ip, IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip in _IPV4_IN_IPV6:
        return str(IPv4Address(int(ip) & 0xFFFFFFFF))
    return str(IPv6Address(int(ip) >> 64 << 64))


def _without_port(entry: str) -> str:
    """The host of `host`, `host:port`, `[v6]` or `[v6]:port`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
