"""Requests of voters: made beforehand, each of another voter."""

import itertools
import os
from collections.abc import Iterator, Sequence

from tests.e2e.harness import site_env

# Tokens are signed as the servers under test sign them; nothing here connects to anything.
os.environ.update(site_env(database_url="postgres://nobody@127.0.0.1:1/none"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livepoll.settings")

from polls.identity.voters import mint_device, token_of

_tokens: list[str] = []


def voter_tokens(number: int) -> list[str]:
    """This many signed voter tokens, all different; the same ones at every call."""
    while len(_tokens) < number:
        _tokens.append(token_of(mint_device()))
    return _tokens[:number]


def vote_requests(
    poll_ids: Sequence[str], number: int, bodies: Sequence[bytes] = (), *, skip: int = 0
) -> Iterator[bytes]:
    """Votes of `number` voters over these polls and bodies in turn, as HTTP/1.1 requests.

    Args:
        skip: how many voters are left out, because they voted already.
    """
    takes_turns = bodies or [b'{"choices":[%d]}' % choice for choice in (1, 2, 3, 4, 2, 2, 3)]
    heads = [
        f"POST /api/v1/polls/{poll_id}/votes/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/json\r\nAuthorization: Voter ".encode()
        for poll_id in poll_ids
    ]
    tails = [b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in takes_turns]
    made = [
        head + token.encode() + tail
        for token, head, tail in zip(
            voter_tokens(skip + number)[skip:],
            itertools.cycle(heads),
            itertools.cycle(tails),
            strict=False,
        )
    ]
    return iter(made)


def changing_requests(poll_id: str, number: int, votes: int, *, skip: int = 0) -> Iterator[bytes]:
    """Votes of voters who vote, and then change their vote until they have cast `votes`.

    So many voters take turns that nobody has two votes under way.

    Args:
        number: of requests.
        skip: how many requests are left out, because they were sent already.
    """
    group = 1_000
    made: list[bytes] = []
    for first in range(skip // votes, (skip + number) // votes, group):
        voters = min(group, (skip + number) // votes - first)
        for turn in range(votes):
            body = b'{"choices":[%d]}' % (turn + 1)
            made += vote_requests([poll_id], voters, [body], skip=first)
    return iter(made)


def get_requests(path: str, *headers: str) -> Iterator[bytes]:
    """The same GET for ever."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return itertools.repeat(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode())
