"""The client's address behind proxies: of X-Forwarded-For, only what a trusted one wrote."""

import os
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

# Uvicorn's own variable. Without it, a bare `uvicorn asgi:application` puts X-Forwarded-For of any
# peer on this machine, a proxy too, in the peer's place.
_UVICORN_KNOWS_ITS_PROXIES = "FORWARDED_ALLOW_IPS" in os.environ
_THIS_MACHINE = "127.0.0.1"


def client_address(peer: str, forwarded_for: str) -> str:
    """The address for limits and voting: with N trusted proxies the Nth entry from the right.

    Entries left of that are the client's own claim and are ignored. Without trusted proxies a
    peer that stands in the header is a claim too; all who make one share one address.
    """
    if not forwarded_for:
        return _one_subscriber(peer)
    hops = settings.TRUSTED_PROXIES
    claimed = [entry.strip() for entry in forwarded_for.split(",") if entry.strip()]
    if hops and len(claimed) >= hops:
        return _one_subscriber(claimed[-hops])
    is_claim = not hops and peer in map(_without_port, claimed)
    if is_claim and not _UVICORN_KNOWS_ITS_PROXIES:
        return _THIS_MACHINE
    return _one_subscriber(peer)


def _without_port(entry: str) -> str:
    """The host of `host`, `host:port`, `[v6]` or `[v6]:port`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


@lru_cache(maxsize=10_000)
def _one_subscriber(address: str) -> str:
    """An IPv6 address by its /64, which is what one subscriber has; IPv4 as it is."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(IPv6Address(int(ip) >> 64 << 64))
