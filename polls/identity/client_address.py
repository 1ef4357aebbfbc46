"""Behind proxies: whose address a request really comes from."""

import os
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

# Uvicorn's own variable. Without it, a bare `uvicorn asgi:application` believes what anybody
# on this machine, a proxy too, passes on as X-Forwarded-For, and puts it in the peer's place.
_SERVER_WAS_TOLD_WHOM_TO_BELIEVE = "FORWARDED_ALLOW_IPS" in os.environ
_THIS_MACHINE = "127.0.0.1"


def client_address(peer: str, forwarded_for: str) -> str:
    """Whose request this is: the entry that the outermost trusted proxy wrote.

    With N trusted proxies that is the Nth entry from the right of X-Forwarded-For;
    everything left of it is the client's own claim and is not looked at. Without any, a
    peer that stands in the header is a claim as well; all who make one share one address.
    """
    if not forwarded_for:
        return _one_subscriber(peer)
    hops = settings.TRUSTED_PROXIES
    claimed = [entry.strip() for entry in forwarded_for.split(",") if entry.strip()]
    if hops and len(claimed) >= hops:
        return _one_subscriber(claimed[-hops])
    is_claim = not hops and peer in map(_without_port, claimed)
    if is_claim and not _SERVER_WAS_TOLD_WHOM_TO_BELIEVE:
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
