"""Times as clients see them. Pure."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=100)  # the votes of a batch are of one moment
def iso(moment: datetime | None) -> str | None:
    """ISO-8601 in UTC with a Z, milliseconds."""
    if moment is None:
        return None
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"
