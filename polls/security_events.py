"""Security events: one log line each, and a metric. docs/security-events.md lists them.

No secret stands in a line. Who sent a request, and what it aimed at, are keyed hashes, the same in
all processes, so that lines of one sender can be found; an address is in clear only where a
connection was refused. A flood of one event and detail writes ten lines a second, and hides no
other; the next line says how many were left out; the metric counts all.
"""

import logging
import time
from collections import Counter
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.crypto import salted_hmac
from prometheus_client import Counter as Metric

logger = logging.getLogger("livepoll.security")

_LINES_A_SECOND = 10
_TAG_CHARACTERS = 12

EVENTS = Metric("livepoll_security_events", "Security events.", ["event", "detail"])


class Event(StrEnum):
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    ACCOUNT_MADE = "account_made"
    CREDENTIAL_MISSED = "credential_missed"
    LIMIT_MET = "limit_met"
    OWNER_ACTED = "owner_acted"
    CONNECTION_REFUSED = "connection_refused"
    ORIGIN_REFUSED = "origin_refused"


# To block it one needs the address itself, which had no request and so voted nothing.
_IN_CLEAR = frozenset((Event.CONNECTION_REFUSED,))


class _Thinned:
    """How many lines of each event and detail may still be written in this second."""

    def __init__(self) -> None:
        self._second = 0
        self._written: Counter[tuple[Event, str]] = Counter()
        self._left_out: Counter[tuple[Event, str]] = Counter()

    def admit(self, event: Event, detail: str) -> int | None:
        """How many lines were left out before this one; None where it is to be left out too."""
        second, kind = int(time.monotonic()), (event, detail)
        if second != self._second:
            self._second, self._written = second, Counter()
        self._written[kind] += 1
        if self._written[kind] > _LINES_A_SECOND:
            self._left_out[kind] += 1
            return None
        return self._left_out.pop(kind, 0)


_thinned = _Thinned()


def report(event: Event, detail: str = "", *, address: str = "", target: str = "") -> None:
    """Write down a security event. No I/O but the log's; from any thread.

    Args:
        detail: of a small, closed set, for it is a metric's label: a limit, an act, a reason.
        address: the client's, in clear; it is hashed here.
        target: what was aimed at, as `poll:…` or `account:…`; hashed too.
    """
    EVENTS.labels(event.value, detail).inc()
    left_out = _thinned.admit(event, detail)
    if left_out is None:
        return
    facts = {"event": event.value, "detail": detail}
    facts |= {"client": tag_of(address)} if address else {}
    facts |= {"address": address} if address and event in _IN_CLEAR else {}
    facts |= {"target": tag_of(target)} if target else {}
    facts |= {"left_out": str(left_out)} if left_out else {}
    logger.info(
        " ".join(f"{name}={value}" for name, value in facts.items()), extra={"facts": facts}
    )


def poll_target(ref: UUID | str | None) -> str:
    """How a poll is named as a target, so that guesses at it and acts on it can be put together."""
    return f"poll:{ref or ''}"


@lru_cache(maxsize=10_000)
def tag_of(text: str) -> str:
    """A keyed hash that stands for an address or a target in logs and as a name of a count."""
    return salted_hmac("livepoll.security", text, algorithm="sha256").hexdigest()[:_TAG_CHARACTERS]


@receiver(setting_changed)
def _forget_tags(**_: object) -> None:
    tag_of.cache_clear()
