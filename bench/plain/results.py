from typing import Any

from bench.plain.models import Poll


def results_of(poll: Poll) -> dict[str, Any]:
    counts = {str(pk): votes for pk, votes in poll.options.values_list("pk", "votes")}
    total = sum(counts.values())
    return {
        "type": "results",
        "poll": str(poll.pk),
        "version": total,
        "status": "open" if poll.is_open else "closed",
        "final": not poll.is_open,
        "voters": total,
        "votes": total,
        "counts": counts,
    }
