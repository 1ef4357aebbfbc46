"""What of a response or a frame is a tally: asked of the kinds, so that a new one is looked for."""

from typing import Any

from polls.rules.kinds import KINDS


def tally_fields() -> set[str]:
    return {"counts", "votes"}.union(*(kind.results_schema for kind in KINDS.values()))


def tallies_in(body: Any) -> list[str]:
    """Where JSON names a tally: fields that are there and not null. A text is a link."""
    if isinstance(body, list):
        return [found for one in body for found in tallies_in(one)]
    if not isinstance(body, dict):
        return []
    named = tally_fields() & body.keys()
    own = [name for name in named if not isinstance(body[name], str | None)]
    return own + [found for value in body.values() for found in tallies_in(value)]
