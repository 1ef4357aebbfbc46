"""Poll, Option and Vote, and the constraints that hold even if the code is wrong.

The tally stands on the poll's own row, next to the version it belongs to: one lock, one
write, one read. Votes are an append-only record: a vote's place (poll, epoch, seq) is
its identity; a changed or retracted vote stays, no longer current. See
docs/decisions/tally-on-the-poll.md.
"""

import secrets
import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from polls.rules.kinds import DEFAULT_KIND, KINDS, NAME_CHARACTERS
from polls.rules.limits import LIMITS
from polls.rules.poll import Derivation, Visibility, VoterPolicy

JOIN_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
JOIN_CODE_LENGTH = 6


def new_join_code() -> str:
    """Six characters that are not mistaken for each other: 31^6, nearly 900 million codes."""
    return "".join(secrets.choice(JOIN_CODE_ALPHABET) for _ in range(JOIN_CODE_LENGTH))


def choices_of(enum: Any) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]


def kind_choices() -> list[tuple[str, str]]:
    """Named by the migrations instead of a list, so that a new kind needs none."""
    return [(name, name) for name in KINDS]


class Poll(models.Model):
    """A question, its rules, its life and its tally."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.CharField(max_length=JOIN_CODE_LENGTH, unique=True, default=new_join_code)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    owner_key_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    question = models.CharField(max_length=LIMITS["question_characters"])
    description = models.TextField(
        max_length=LIMITS["description_characters"], blank=True, default=""
    )
    kind = models.CharField(max_length=NAME_CHARACTERS, choices=kind_choices, default=DEFAULT_KIND)
    min_choices = models.PositiveSmallIntegerField(default=1)
    max_choices = models.PositiveSmallIntegerField(default=1)
    voter_policy = models.CharField(
        max_length=7, choices=choices_of(VoterPolicy), default=VoterPolicy.DEVICE
    )
    vote_change = models.BooleanField(default=False)
    results_visibility = models.CharField(
        max_length=11, choices=choices_of(Visibility), default=Visibility.ALWAYS
    )
    min_voters = models.PositiveIntegerField(default=0)
    listed = models.BooleanField(default=True)
    embed_origins = models.JSONField(default=list)
    # The database's own default is for polls from before, and for processes that know no better.
    derivation = models.PositiveSmallIntegerField(
        default=Derivation.OWN, db_default=Derivation.SHARED, editable=False
    )

    is_draft = models.BooleanField(default=False)
    opens_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True)
    duration = models.PositiveIntegerField(null=True, blank=True, help_text="seconds")
    paused_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    epoch = models.PositiveIntegerField(default=1)
    revision = models.PositiveIntegerField(default=1)
    version = models.PositiveBigIntegerField(default=0)
    voters = models.PositiveBigIntegerField(default=0)
    votes = models.PositiveBigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    stars = models.JSONField(null=True, default=None)

    class Meta:
        indexes = [
            models.Index(
                fields=["-created_at", "-id"], condition=Q(listed=True), name="poll_listed_newest"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.question}"


class Option(models.Model):
    """One option of a poll. Votes refer to it by `number`, which is never given to another."""

    poll = models.ForeignKey(Poll, on_delete=models.CASCADE, related_name="options", db_index=False)
    number = models.PositiveSmallIntegerField()
    position = models.PositiveSmallIntegerField()
    text = models.CharField(max_length=LIMITS["option_text_characters"])
    is_retired = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["poll", "number"], name="option_number_unique"),
        ]
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.number}. {self.text}"


class OptionCorrection(models.Model):
    """One correction of an option's wording after the first vote: the audit trail."""

    poll = models.ForeignKey(Poll, on_delete=models.CASCADE, related_name="corrections")
    number = models.PositiveSmallIntegerField()
    old_text = models.CharField(max_length=LIMITS["option_text_characters"])
    new_text = models.CharField(max_length=LIMITS["option_text_characters"])
    version = models.PositiveBigIntegerField(help_text="the poll's version at that moment")
    corrected_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.number}. {self.old_text} → {self.new_text}"


class VoterCode(models.Model):
    """A single-use code of a `code` poll, known only by the voter key it leads to."""

    poll = models.ForeignKey(
        Poll, on_delete=models.CASCADE, related_name="voter_codes", db_index=False
    )
    voter = models.UUIDField()
    number = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["poll", "voter"], name="voter_code_unique"),
            models.UniqueConstraint(fields=["poll", "number"], name="voter_code_number_unique"),
        ]
        ordering = ["number"]

    def __str__(self) -> str:
        return f"voter code {self.number}"


class Vote(models.Model):
    """One vote event of a poll: a vote cast, changed (`replaces`) or retracted (no marks)."""

    pk = models.CompositePrimaryKey("poll_id", "epoch", "seq")
    poll = models.ForeignKey(Poll, on_delete=models.CASCADE, related_name="+", db_index=False)
    epoch = models.PositiveIntegerField()
    seq = models.PositiveBigIntegerField()
    voter = models.UUIDField()
    marks = models.JSONField(null=True)
    cast_at = models.DateTimeField()
    is_current = models.BooleanField(default=True)
    replaces = models.PositiveBigIntegerField(null=True)
    # `voters.caster_key` where the policy is one of CAST_BY_TOKEN; votes from before have none.
    caster = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["voter", "epoch"],  # a voter key belongs to one poll
                condition=Q(is_current=True),
                name="vote_one_a_voter",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.poll_id}/{self.epoch}/{self.seq}"
