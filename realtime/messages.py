"""Messages between processes through the channel layer: whole states, never deltas."""

from typing import Any
from uuid import UUID

from polls.rules.poll import PollState

TALLY = "poll.tally"
POLL = "poll.changed"
WATCHING = "hub.watching"

HUBS = "hubs"  # the group of all hubs

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


def watching(
    hub_id: str, number: int, counts: dict[str, int], *, starts_all: bool, asks: list[str]
) -> dict[str, Any]:
    """How many sockets of one process watch which polls, for the group of all hubs.

    Args:
        number: one more than that of its message before.
        counts: those that changed, by poll.
        starts_all: this message and those that follow in the same beat have all counts of it.
        asks: hubs of which all counts are wanted.
    """
    return {
        "type": WATCHING, "hub": hub_id, "number": number, "counts": counts,
        "starts_all": starts_all, "asks": asks,
    }  # fmt: skip
