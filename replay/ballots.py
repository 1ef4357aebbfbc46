"""What a file's ballots become on the wire: one request body and one lasting voter each.

A ballot's voter is its `Idempotency-Key`, made of the poll, the file's bytes and the
ballot's place in the file. Casting the same ballot again, now or after a crash, is
therefore the same voter with the same vote, which the server answers and never counts twice.
"""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

from replay.preflib import Order, PrefLibFile

KINDS = ("single", "ranked")


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote ready to send."""

    idempotency_key: str
    body: bytes


def ballots_to_cast(
    file: PrefLibFile, *, kind: str, poll_id: str, option_ids: Mapping[int, int]
) -> list[Ballot]:
    """The ballots that can be voted, shuffled so that the race is open until late.

    Files list equal ballots together; the shuffle is seeded with the file, so it is the
    same each time. A `single` vote is the first preference, a `ranked` one runs up to
    the first tie: a ballot that starts with a tie cannot be voted and is left out.

    Args:
        option_ids: the poll's option id for each alternative of the file.
    """
    ballots = [
        Ballot(
            _idempotency_key(poll_id, file.digest, index),
            json.dumps({"choices": [option_ids[choice] for choice in choices]}).encode(),
        )
        for index, order in enumerate(file.ballots())
        if (choices := _choices(order, kind))
    ]
    random.Random(file.digest).shuffle(ballots)
    return ballots


def _choices(order: Order, kind: str) -> tuple[int, ...]:
    strict = order.strict_prefix()
    return strict[:1] if kind == "single" else strict


def _idempotency_key(poll_id: str, digest: str, index: int) -> str:
    return hashlib.sha256(f"{poll_id}/{digest}/{index}".encode()).hexdigest()
