"""Messages between processes through the channel layer: whole states, never deltas."""

from typing import Any
from uuid import UUID

from polls.rules.poll import PollState

TALLY = "poll.tally"
POLL = "poll.changed"
WATCHING = "poll.watching"

_TALLY_FIELDS = ("epoch", "revision", "version", "voters", "votes", "counts", "stars")


def group(poll_id: UUID) -> str:
    """The poll's group in the channel layer."""
    return f"poll.{poll_id.hex}"


def tally(state: PollState) -> dict[str, Any]:
    """The poll's totals, with the order they belong to."""
    numbers = {name: getattr(state, name) for name in _TALLY_FIELDS}
    return {"type": TALLY, "poll": state.id.hex, **numbers}


def read_tally(message: dict[str, Any], known: PollState) -> PollState:
    """The state in `message`; what it leaves out is as in `known`."""
    return known._replace(**{name: message[name] for name in _TALLY_FIELDS})


def poll_changed(poll_id: UUID, *, deleted: bool) -> dict[str, Any]:
    return {"type": POLL, "poll": poll_id.hex, "deleted": deleted}


def watching(poll_id: UUID, hub_id: str, count: int) -> dict[str, Any]:
    """How many sockets of one process watch the poll."""
    return {"type": WATCHING, "poll": poll_id.hex, "hub": hub_id, "count": count}
