"""OpenAPI links: which request may follow a response, and where its `ref` stands in that.

They cannot carry credentials: OpenAPI declares no Authorization parameter. Their
descriptions say what to send.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from polls.api.schema import OWNER_AUTH

Json = dict[str, Any]


class _Link(NamedTuple):
    """To the operation of the id `target`."""

    target: str
    parameters: dict[str, str]
    body: str | None = None
    note: str = ""


_AS_OWNER = "Send `Authorization: Bearer <owner_key>`."
_AS_VOTER = "Send the voter's cookie or `Authorization: Voter <voter_token>`."
_CREDENTIALS = {
    "votes_mine": _AS_VOTER,
    "votes_retract": _AS_VOTER,
    "accounts_me": "Send `Authorization: Bearer <access>`.",
}


def _for_poll(ref: str, *targets: str) -> list[_Link]:
    return [_Link(target, {"ref": ref}) for target in targets]


def _of_response(*targets: str) -> list[_Link]:
    return _for_poll("$response.body#/id", *targets)


def _of_same_poll(*targets: str) -> list[_Link]:
    return _for_poll("$request.path.ref", *targets)


_EVERYTHING = _of_response(
    "polls_read", "polls_update", "polls_delete", "polls_open", "polls_pause", "polls_close",
    "polls_reset", "polls_clone", "polls_rotate_key", "polls_corrections", "voter_codes_list",
    "voter_codes_create", "votes_cast", "votes_mine", "votes_retract", "results_read",
    "timeline_read", "export_results_csv", "export_votes_csv", "export_report",
)  # fmt: skip
_AFTER_A_VOTE = _of_same_poll(
    "votes_mine", "votes_cast", "votes_retract", "results_read", "timeline_read"
)
_SIGNED_IN = [
    _Link("accounts_me", {}),
    _Link("accounts_refresh", {}, "$response.body", "The answer's `refresh` is all that is read."),
]

_LINKS: dict[tuple[str, str], list[_Link]] = {
    ("polls_create", "201"): _EVERYTHING,
    ("polls_clone", "201"): _EVERYTHING,
    ("polls_list", "200"): _for_poll(
        "$response.body#/results/0/id", "polls_read", "votes_cast", "results_read"
    ),
    ("polls_read", "200"): _of_response(
        "votes_cast", "votes_mine", "results_read", "timeline_read"
    ),
    ("polls_update", "200"): _of_response("polls_read", "polls_corrections", "polls_open"),
    ("polls_open", "200"): _of_response("votes_cast", "polls_pause", "polls_close"),
    ("polls_pause", "200"): _of_response("polls_open", "polls_close"),
    ("polls_close", "200"): _of_response(
        "results_read", "timeline_read", "polls_open", "polls_reset",
        "export_results_csv", "export_votes_csv", "export_report",
    ),
    ("polls_reset", "200"): _of_response("polls_open", "votes_cast", "export_votes_csv"),
    ("polls_rotate_key", "200"): _of_same_poll("polls_update"),
    ("votes_cast", "201"): _AFTER_A_VOTE,
    ("votes_cast", "200"): _AFTER_A_VOTE,
    ("votes_mine", "200"): _of_same_poll("votes_cast", "votes_retract"),
    ("results_read", "200"): [
        _Link(
            "results_read",
            {"path.ref": "$request.path.ref", "header.If-None-Match": "$response.header.ETag"},
            note="304 as long as nothing has changed.",
        )
    ],
    ("voter_codes_create", "201"): [
        *_of_same_poll("voter_codes_list"),
        _Link("voter_codes_revoke", {"ref": "$request.path.ref"}, note="By `number`."),
        _Link(
            "votes_cast", {"ref": "$request.path.ref"}, note="With a `code` as its `voter_code`."
        ),
    ],
    ("accounts_create", "201"): [
        *_SIGNED_IN,
        _Link("accounts_token", {}, "$request.body", "The same name and password."),
    ],
    ("accounts_token", "200"): _SIGNED_IN,
    ("accounts_refresh", "200"): _SIGNED_IN,
}  # fmt: skip


def add_links(result: Json, **_: Any) -> Json:
    """A drf-spectacular postprocessing hook."""
    operations = {operation["operationId"]: operation for operation in _operations(result)}
    for (source, status), links in _LINKS.items():
        operations[source]["responses"][status]["links"] = {
            link.target: _link_object(link, operations[link.target]) for link in links
        }
    return result


def _operations(result: Json) -> Iterator[Json]:
    for path in result["paths"].values():
        yield from path.values()


def _link_object(link: _Link, target: Json) -> Json:
    owners = _AS_OWNER if target["security"] == OWNER_AUTH else ""
    notes = [f"{target['summary']}.", _CREDENTIALS.get(link.target, owners), link.note]
    made: Json = {"operationId": link.target, "description": " ".join(filter(None, notes))}
    if link.parameters:
        made["parameters"] = link.parameters
    if link.body is not None:
        made["requestBody"] = link.body
    return made
