"""A poll's results as clients see them, over REST and in frames alike."""

from collections.abc import Mapping
from typing import Any

from polls.rules.kinds import kind_of
from polls.rules.poll import PollState, Status


def results_of(
    state: PollState, status: Status, counted: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The results object of the contract, without `as_of`, for orjson.

    Below `min_voters` every number that could give a voter away is withheld.

    Args:
        status: at the moment of the answer.
        counted: what `ballot_counts` says at this very version; None where the kind needs no
            ballots.
    """
    results: dict[str, Any] = {
        "poll": state.id,
        "epoch": state.epoch,
        "version": state.version,
        "status": status,
        # The clock alone does not make a tally final: see `services.seal_polls`.
        "final": state.closed_at is not None,
        "voters": state.voters,
        "votes": None if state.is_withheld else state.votes,
        "counts": None if state.is_withheld else state.counts,
    }
    if state.min_voters:
        results["withheld"] = state.is_withheld
    if state.is_withheld:
        return results
    results |= kind_of(state.kind).results(state)
    if counted:
        results |= counted
    return results
