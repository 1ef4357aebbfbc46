"""What the kinds of poll add to the OpenAPI schema: ballots, recorded votes, results."""

from collections import defaultdict
from typing import Any

from polls.rules.kinds import KINDS

Json = dict[str, Any]


def add_kinds(result: Json, **_: Any) -> Json:
    """A drf-spectacular postprocessing hook."""
    schemas = result["components"]["schemas"]
    of_ballots = _properties("ballot_schema")
    schemas["VoteRequestRequest"]["properties"] |= of_ballots
    schemas["RecordedVote"]["properties"] |= of_ballots
    schemas["Results"]["properties"] |= _properties("results_schema")
    return result


def _properties(of: str) -> Json:
    """By name, each with the kinds that have it in its description."""
    found: Json = {}
    names: dict[str, list[str]] = defaultdict(list)
    for kind in KINDS.values():
        for name, schema in getattr(kind, of).items():
            found[name] = schema
            names[name].append(kind.name)
    return {name: _described(schema, ", ".join(names[name])) for name, schema in found.items()}


def _described(schema: Json, kinds: str) -> Json:
    description = f"{schema.get('description', '')} Kinds: {kinds}.".strip()
    return {**schema, "description": description}
