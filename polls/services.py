"""Every write of a poll itself: making, editing, opening, closing. Votes: `polls.voting`.

Each act locks the poll, raises its `revision`, and publishes `events.poll_changed` after
COMMIT. An act whose work is done already changes nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from polls import errors, events
from polls.database.model_rows import insert_rows
from polls.identity.owners import hash_owner_key, new_owner_key
from polls.models import Option, OptionCorrection, Poll, Vote, new_join_code
from polls.rules.kinds import kind_of
from polls.rules.poll import Status
from polls.rules.tally import Tally
from polls.selectors import lock_poll, state_of

_JOIN_CODE_TRIES = 8


def create_poll(
    *,
    question: str,
    options: Sequence[str],
    duration: int | None = None,
    owner_id: int | None = None,
    poll_id: UUID | None = None,
    **fields: Any,
) -> tuple[Poll, str | None]:
    """Make a poll; its fields must be valid (`api.serializers` sees to that).

    Returns:
        The poll, and the owner key where no account owns it. The key is shown once.
    """
    poll = Poll(question=question, duration=duration, owner_id=owner_id, **fields)
    if poll_id is not None:
        poll.id = poll_id
    if duration is not None and not poll.is_draft:
        poll.closes_at = (poll.opens_at or poll.created_at) + timedelta(seconds=duration)
    numbers = range(1, len(options) + 1)
    _set_empty_tally(poll, numbers)
    owner_key = None
    if owner_id is None:
        owner_key = new_owner_key()
        poll.owner_key_hash = hash_owner_key(owner_key)
    rows = [
        Option(poll_id=poll.id, number=number, position=number, text=text)
        for number, text in zip(numbers, options, strict=True)
    ]
    for _ in range(_JOIN_CODE_TRIES):
        try:
            insert_rows([poll, *rows])
            return poll, owner_key
        except IntegrityError:
            poll.code = new_join_code()
    raise errors.Overloaded("No free join code was found; try again.")


def _set_empty_tally(poll: Poll, numbers: Collection[int]) -> None:
    tally = Tally.empty(poll.kind, numbers)
    poll.version = 0
    poll.voters, poll.votes = tally.voters, tally.votes
    poll.counts, poll.stars = tally.counts, tally.stars


@contextmanager
def _locked(poll_id: UUID) -> Iterator[Poll]:
    """The poll under its lock; saved with a new revision if the block changed it.

    What the clock has closed is sealed first, so that an act does the same whether or not
    the poll was read since.
    """
    with transaction.atomic():
        poll = lock_poll(poll_id)
        before = _fields_of(poll)
        if state_of(poll).needs_sealing(timezone.now()):
            poll.closed_at = poll.closes_at
        yield poll
        changed = [name for name, value in _fields_of(poll).items() if value != before[name]]
        if changed:
            poll.revision += 1
            poll.save(update_fields=[*changed, "revision"])
            transaction.on_commit(partial(events.publish_poll_changed, poll_id), robust=True)


def _fields_of(poll: Poll) -> dict[str, Any]:
    return {field.attname: getattr(poll, field.attname) for field in poll._meta.concrete_fields}


def open_poll(poll_id: UUID) -> Poll:
    """Open a draft, a scheduled, paused or closed poll now; `duration` starts again."""
    with _locked(poll_id) as poll:
        now = timezone.now()
        status = state_of(poll).status_at(now)
        if status == Status.OPEN:
            return poll
        poll.paused_at = poll.closed_at = None
        poll.is_draft = False
        if poll.opens_at is not None and poll.opens_at > now:
            poll.opens_at = now
        if poll.duration is not None and status != Status.PAUSED:
            poll.closes_at = now + timedelta(seconds=poll.duration)
        elif poll.closes_at is not None and poll.closes_at <= now:
            poll.closes_at = None
        return poll


def pause_poll(poll_id: UUID) -> Poll:
    """Stop taking votes until the poll is opened again.

    Raises:
        PollClosed, PollNotOpen: there is nothing to pause.
    """
    with _locked(poll_id) as poll:
        now = timezone.now()
        status = state_of(poll).status_at(now)
        if status == Status.CLOSED:
            raise errors.PollClosed
        if status in (Status.DRAFT, Status.SCHEDULED):
            raise errors.PollNotOpen
        if status == Status.OPEN:
            poll.paused_at = now
        return poll


def close_poll(poll_id: UUID) -> Poll:
    """Close for good (until the owner opens it again): no later vote counts."""
    with _locked(poll_id) as poll:
        if poll.closed_at is None:
            poll.closed_at = timezone.now()
        return poll


def seal_polls(poll_ids: Collection[UUID], now: datetime) -> None:
    """Write down the closing of polls whose closing time has come.

    Waits for the votes that are being recorded under the poll's lock, so that a
    tally read afterwards is final even where other machines' clocks are late. Idempotent.
    """
    for poll_id in sorted(poll_ids):
        sealed = Poll.objects.filter(id=poll_id, closed_at__isnull=True, closes_at__lte=now).update(
            closed_at=F("closes_at"), revision=F("revision") + 1
        )
        if sealed:
            events.publish_poll_changed(poll_id)


def reset_poll(poll_id: UUID) -> Poll:
    """Start a new epoch with an empty tally; the old votes stay in the record."""
    with _locked(poll_id) as poll:
        poll.epoch += 1
        _set_empty_tally(poll, [int(number) for number in poll.counts])
        return poll


def rotate_owner_key(poll_id: UUID) -> str:
    """A new owner key; the old one is invalid from now on."""
    with _locked(poll_id) as poll:
        owner_key = new_owner_key()
        poll.owner_key_hash = hash_owner_key(owner_key)
        return owner_key


_CLONED_FIELDS = (
    "question", "description", "kind", "min_choices", "max_choices", "voter_policy",
    "vote_change", "results_visibility", "min_voters", "listed", "duration", "embed_origins",
)  # fmt: skip


def clone_poll(poll_id: UUID, *, owner_id: int | None = None) -> tuple[Poll, str | None]:
    """A draft with the same question, options and rules; no votes, no schedule."""
    poll = Poll.objects.filter(id=poll_id).first()
    if poll is None:
        raise errors.PollNotFound
    options = poll.options.filter(is_retired=False).order_by("position")
    return create_poll(
        options=[option.text for option in options],
        owner_id=owner_id,
        is_draft=True,
        **{name: getattr(poll, name) for name in _CLONED_FIELDS},
    )


def delete_poll(poll_id: UUID) -> None:
    """Delete a poll, its options and its votes.

    Raises:
        PollNotFound: it is gone already.
    """
    with transaction.atomic():
        lock_poll(poll_id).delete()
        publish = partial(events.publish_poll_changed, poll_id, deleted=True)
        transaction.on_commit(publish, robust=True)


# What may be edited at any time, and what only before the first vote.
_FREE_FIELDS = (
    "question", "description", "listed", "results_visibility", "vote_change",
    "min_voters", "opens_at", "closes_at", "embed_origins",
)  # fmt: skip
_RULE_FIELDS = ("kind", "min_choices", "max_choices", "voter_policy")


def update_poll(
    poll_id: UUID,
    changes: Mapping[str, Any],
    options: Sequence[tuple[int | None, str]] | None = None,
) -> Poll:
    """Edit a poll.

    Args:
        changes: field → value; valid ones.
        options: the whole new list, best (id, text); without an id an option is matched
            by its text, or after votes by its place.
    Raises:
        PollHasVotes: the rules or the set of options would change under cast votes.
    """
    with _locked(poll_id) as poll:
        rules = [name for name in _RULE_FIELDS if changes.get(name, None) is not None]
        if poll.version and any(changes[name] != getattr(poll, name) for name in rules):
            raise errors.PollHasVotes
        for name in (*_FREE_FIELDS, *_RULE_FIELDS):
            if name in changes:
                setattr(poll, name, changes[name])
        _reschedule(poll, changes)
        if options is not None:
            if poll.version:
                _correct_options(poll, options)
            else:
                _replace_options(poll, options)
        elif "kind" in changes and not poll.version:
            _set_empty_tally(poll, [int(number) for number in poll.counts])
        return poll


def _reschedule(poll: Poll, changes: Mapping[str, Any]) -> None:
    """Keep `duration` and `closes_at` to one meaning; a duration given to an open poll runs
    from now."""
    if changes.get("duration") is not None:
        poll.duration = changes["duration"]
    elif "closes_at" in changes or "duration" in changes:
        poll.duration = None
        poll.closes_at = changes.get("closes_at")
    elif not ("opens_at" in changes and poll.opens_at is not None):
        return
    if poll.duration is not None:
        start = max(poll.opens_at or timezone.now(), timezone.now())
        poll.closes_at = None if poll.is_draft else start + timedelta(seconds=poll.duration)


def _correct_options(poll: Poll, wanted: Sequence[tuple[int | None, str]]) -> None:
    """Give the same options new texts or another order."""
    options = list(poll.options.filter(is_retired=False).order_by("position"))
    if len(wanted) != len(options):
        raise errors.PollHasVotes
    if all(number is None for number, _ in wanted):
        numbers = [option.number for option in options]
    else:
        numbers = [number for number, _ in wanted if number is not None]
    by_number = {option.number: option for option in options}
    texts = {option.number: option.text for option in options}
    if set(numbers) != set(by_number) or len(numbers) != len(options):
        raise errors.PollHasVotes
    for position, (number, (_, text)) in enumerate(zip(numbers, wanted, strict=True), start=1):
        by_number[number].position, by_number[number].text = position, text
    Option.objects.bulk_update(options, ["position", "text"])
    _note_corrections(poll, texts, options)
    poll.revision += 1


def _note_corrections(poll: Poll, before: Mapping[int, str], options: Iterable[Option]) -> None:
    """Keep in the audit trail which options have another text than `before`."""
    OptionCorrection.objects.bulk_create(
        OptionCorrection(
            poll=poll, number=option.number, version=poll.version,
            old_text=before[option.number], new_text=option.text,
        )
        for option in options
        if option.text != before.get(option.number, option.text)
    )  # fmt: skip


def _replace_options(poll: Poll, wanted: Sequence[tuple[int | None, str]]) -> None:
    """Set new options; a number is never given to another text."""
    known = list(poll.options.all())
    kind = kind_of(poll.kind)
    was_all = poll.max_choices == kind.most_choices(len(poll.counts))
    texts = {option.number: option.text for option in known}
    by_number = {option.number: option for option in known if not option.is_retired}
    by_text = {option.text: option for option in known}
    next_number = max((option.number for option in known), default=0) + 1
    kept: dict[int, Option] = {}
    for position, (number, text) in enumerate(wanted, start=1):
        option = by_number.get(number) if number is not None else by_text.get(text)
        if option is None or option.number in kept:
            option = Option(poll=poll, number=next_number)
            next_number += 1
        option.text, option.position, option.is_retired = text, position, False
        kept[option.number] = option
    for option in known:
        if option.number not in kept:
            option.is_retired = True
            option.save()
    for option in kept.values():
        option.save()
    if poll.epoch > 1 and Vote.objects.filter(poll=poll).exists():  # they named these options
        _note_corrections(poll, texts, kept.values())
    most = kind.most_choices(len(kept))
    poll.max_choices = most if was_all else min(poll.max_choices, most)
    poll.min_choices = min(poll.min_choices, poll.max_choices)
    _set_empty_tally(poll, sorted(kept))
    poll.revision += 1
