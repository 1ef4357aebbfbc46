"""The data of exports: results as rows, and every vote event of every epoch."""

from collections.abc import Iterator
from typing import Any

import orjson
from django.db.models import Count

from polls.models import Option, Poll, Vote
from polls.results.reader import PollQuery, reader
from polls.rules.kinds import kind_of
from polls.rules.times import iso
from polls.selectors import state_of

_CHUNK = 5_000

VOTE_COLUMNS = ("epoch", "seq", "cast_at", "counted", "replaces")  # and those of the kind


def results_of_poll(poll: Poll) -> dict[str, Any]:
    """The results object, as REST shows it to the owner."""
    reading = reader.ask_sync(PollQuery(poll.id, results=True))
    assert reading.results is not None
    results: dict[str, Any] = orjson.loads(reading.results)
    return results


def option_texts(poll: Poll) -> dict[int, str]:
    """The text of every option a vote may name, retired ones too, in their order."""
    options = Option.objects.filter(poll=poll).order_by("is_retired", "position")
    return dict(options.values_list("number", "text"))


def result_rows(
    poll: Poll, results: dict[str, Any], texts: dict[int, str]
) -> Iterator[tuple[object, ...]]:
    """A header, then what the kind of poll makes of the results: most, a row an option."""
    kind = kind_of(poll.kind)
    yield kind.result_columns
    yield from kind.result_rows(results, texts)


def vote_rows(poll: Poll, epoch: int | None) -> Iterator[tuple[object, ...]]:
    """A header, then every vote event in order, all as at one moment. No column identifies a voter.
    On PostgreSQL by a cursor of the server's; memory does not grow with the votes.

    Epochs in which too few have voted to show any numbers are left out.
    """
    kind = kind_of(poll.kind)
    retracted = ("",) * len(kind.vote_columns)
    yield (*VOTE_COLUMNS, *kind.vote_columns)
    votes = Vote.objects.filter(poll=poll).order_by("epoch", "seq")
    if epoch is not None:
        votes = votes.filter(epoch=epoch)
    if poll.min_voters:
        votes = votes.filter(epoch__in=_epochs_to_show(poll))
    for vote in votes.iterator(_CHUNK):
        cells = retracted if vote.marks is None else kind.vote_cells(vote.marks)
        yield (
            vote.epoch, vote.seq, iso(vote.cast_at), int(vote.is_current),
            vote.replaces or "", *cells,
        )  # fmt: skip


def _epochs_to_show(poll: Poll) -> list[int]:
    state = state_of(poll)
    voters = (
        Vote.objects.filter(poll=poll, is_current=True).values("epoch").annotate(n=Count("seq"))
    )
    return [row["epoch"] for row in voters if not state._replace(voters=row["n"]).is_withheld]
