"""Security events: one log line each, and a metric. docs/security-events.md lists them.

No secret and no address stands in a line: who sent a request, and what it aimed at, are keyed
hashes, the same in all processes, so that lines of one sender can be found. A flood of one
event writes ten lines a second, the next line says how many were left out; the metric counts all.
"""

import logging
import time
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.crypto import salted_hmac
from prometheus_client import Counter

logger = logging.getLogger("livepoll.security")

_LINES_A_SECOND = 10
_TAG_CHARACTERS = 12

EVENTS = Counter("livepoll_security_events", "Security events.", ["event", "detail"])


class Event(StrEnum):
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    ACCOUNT_MADE = "account_made"
    CREDENTIAL_MISSED = "credential_missed"
    LIMIT_MET = "limit_met"
    OWNER_ACTED = "owner_acted"
    CONNECTION_REFUSED = "connection_refused"


class _Thinned:
    """How many lines of each event may still be written in this second."""

    def __init__(self) -> None:
        self._second = 0
        self._written: dict[Event, int] = {}
        self._left_out: dict[Event, int] = {}

    def admit(self, event: Event) -> int | None:
        """How many lines were left out before this one; None where it is to be left out too."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, {}
        written = self._written[event] = self._written.get(event, 0) + 1
        if written > _LINES_A_SECOND:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return None
        return self._left_out.pop(event, 0)


_thinned = _Thinned()


def report(event: Event, detail: str = "", *, address: str = "", target: str = "") -> None:
    """Write down a security event. No I/O but the log's; from any thread.

    Args:
        detail: of a small, closed set, for it is a metric's label: a limit, an act, a reason.
        address: the client's, in clear; it is hashed here.
        target: what was aimed at, as `poll:…` or `account:…`; hashed too.
    """
    EVENTS.labels(event.value, detail).inc()
    left_out = _thinned.admit(event)
    if left_out is None:
        return
    facts = {"event": event.value, "detail": detail}
    facts |= {"client": tag_of(address)} if address else {}
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
