"""A poll's results as clients see them, over REST and in frames alike."""

from typing import Any

from polls.rules.kinds.rating import mean
from polls.rules.poll import PollState, Status


def results_of(state: PollState, status: Status, ranked: dict[str, Any] | None) -> dict[str, Any]:
    """The results object of the contract, without `as_of`, for orjson.

    Below `min_voters` every number that could give a voter away is withheld.

    Args:
        status: at the moment of the answer.
        ranked: `rounds` and `winner` of a ranked poll at this very version.
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
    if state.stars is not None:
        results["means"] = {option: mean(stars) for option, stars in state.stars.items()}
        results["distribution"] = state.stars
    return results | ranked if ranked else results
