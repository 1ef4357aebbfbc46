"""The public poll object of the contract: one builder for REST, sockets and pages."""

from datetime import datetime
from typing import Any

from polls.rules.times import iso
from polls.selectors import PollDetails


def poll_object(details: PollDetails, base_url: str, now: datetime) -> dict[str, Any]:
    """The poll as every client sees it; no tally in it.

    Args:
        base_url: scheme and host that the client used, without a slash at the end.
    """
    state = details.state
    return {
        "id": str(state.id),
        "code": state.code,
        "question": details.question,
        "description": details.description,
        "kind": state.kind,
        "options": [{"id": number, "text": text} for number, text in details.options],
        "min_choices": state.min_choices,
        "max_choices": state.max_choices,
        "status": state.status_at(now).value,
        "opens_at": iso(state.opens_at),
        "closes_at": iso(state.closes_at),
        "closed_at": iso(_closed_at(details, now)),
        "duration": details.duration,
        "created_at": iso(details.created_at),
        "voter_policy": state.voter_policy,
        "vote_change": state.vote_change,
        "results_visibility": state.results_visibility,
        "min_voters": state.min_voters,
        "listed": details.listed,
        "embed_origins": details.embed_origins,
        "epoch": state.epoch,
        "version": state.version,
        "links": _links(str(state.id), state.code, base_url),
    }


def _closed_at(details: PollDetails, now: datetime) -> datetime | None:
    state = details.state
    if state.closed_at is None and state.needs_sealing(now):
        return state.closes_at
    return state.closed_at


def _links(poll_id: str, code: str, base_url: str) -> dict[str, str]:
    api = f"{base_url}/api/v1/polls/{poll_id}/"
    return {
        "self": api,
        "results": f"{api}results/",
        "votes": f"{api}votes/",
        "live": f"{base_url.replace('http', 'ws', 1)}/ws/polls/{poll_id}/",
        "vote_page": f"{base_url}/p/{code}/",
        "dashboard": f"{base_url}/p/{code}/live/",
    }
