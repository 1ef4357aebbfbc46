"""Serializers: validation with an error a field, and the shapes in the OpenAPI schema."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NoReturn

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from polls.models import choices_of, kind_choices
from polls.rules.kinds import DEFAULT_KIND, KINDS, kind_of
from polls.rules.kinds.kind import FieldError
from polls.rules.limits import LIMITS
from polls.rules.poll import Status, Visibility, VoterPolicy

_CHOICE_FIELDS: tuple[str, ...] = ("min_choices", "max_choices")


# What can stand in a Content-Security-Policy as it is: no wildcard, path, quote or semicolon.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")

_OPTION_SCHEMA = {
    "oneOf": [
        {"type": "string", "minLength": 1, "maxLength": LIMITS["option_text_characters"]},
        {
            "type": "object",
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "text": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": LIMITS["option_text_characters"],
                },
            },
            "required": ["text"],
        },
    ],
    "description": "The text, or an object. `id` only when editing: which option this is.",
}


@extend_schema_field(_OPTION_SCHEMA)
class OptionSerializer(serializers.Serializer[Any]):
    """One option. `id` only when editing: which option this text belongs to."""

    id = serializers.IntegerField(required=False, min_value=1)
    text = serializers.CharField(max_length=LIMITS["option_text_characters"])

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, str):  # the usual form, at half the cost of the other
            try:
                return {"text": self.fields["text"].run_validation(data)}
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"text": error.detail}) from None
        option: dict[str, Any] = super().to_internal_value(data)
        if "text" not in option:  # in a PATCH, DRF lets the fields of each item be left out too
            raise serializers.ValidationError({"text": "This field is required."}, "required")
        return option


class OriginField(serializers.CharField):
    """A web site's origin: scheme, host and port, nothing after them. Kept as browsers say it."""

    default_error_messages = {"invalid_origin": "This must be like https://example.com."}

    def to_internal_value(self, data: Any) -> str:
        origin = super().to_internal_value(data).lower().removesuffix("/")
        if not _ORIGIN.fullmatch(origin):
            self.fail("invalid_origin")
        return origin


class KindField(serializers.ChoiceField):
    """One of the kinds that are registered when a serializer is made."""

    def __init__(self, **options: Any) -> None:
        super().__init__(kind_choices(), **options)


class BoundedListField(serializers.ListField):
    """Refuses a list that is too long before it looks at what is in it, which DRF does first."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            message = self.error_messages["max_length"].format(max_length=self.max_length)
            raise serializers.ValidationError(message, "max_length")
        found: list[Any] = super().to_internal_value(data)
        return found


class OptionsField(BoundedListField):
    """As many options as some kind of poll has; what the one kind has, `check_choices` holds."""

    child = OptionSerializer()

    def __init__(self, **options: Any) -> None:
        least = min(kind.options_min for kind in KINDS.values())
        most = max(kind.options_max for kind in KINDS.values())
        if not least:
            options.setdefault("required", False)
        super().__init__(min_length=least, max_length=most, **options)


class PollFields(serializers.Serializer[Any]):
    """The fields that creating and editing share, and the rules between them."""

    question = serializers.CharField(max_length=LIMITS["question_characters"])
    description = serializers.CharField(
        max_length=LIMITS["description_characters"], allow_blank=True, required=False
    )
    kind = KindField(required=False)
    options = OptionsField()
    min_choices = serializers.IntegerField(
        min_value=1, max_value=LIMITS["options_max"], required=False
    )
    max_choices = serializers.IntegerField(
        min_value=1, max_value=LIMITS["options_max"], required=False
    )
    opens_at = serializers.DateTimeField(allow_null=True, required=False)
    closes_at = serializers.DateTimeField(allow_null=True, required=False)
    duration = serializers.IntegerField(
        min_value=LIMITS["duration_min_seconds"],
        max_value=LIMITS["duration_max_seconds"],
        allow_null=True,
        required=False,
        help_text="Seconds from opening; never together with closes_at.",
    )
    voter_policy = serializers.ChoiceField(choices_of(VoterPolicy), required=False)
    vote_change = serializers.BooleanField(required=False)
    results_visibility = serializers.ChoiceField(choices_of(Visibility), required=False)
    min_voters = serializers.IntegerField(min_value=0, max_value=1_000_000, required=False)
    listed = serializers.BooleanField(required=False)
    embed_origins = BoundedListField(
        child=OriginField(max_length=LIMITS["embed_origin_characters"]),
        max_length=LIMITS["embed_origins_max"],
        required=False,
        help_text="Sites that may show the poll's big screen in a frame, as https://example.com.",
    )

    def validate_options(self, options: list[dict[str, Any]]) -> list[dict[str, Any]]:
        texts = [option["text"] for option in options]
        if len(set(texts)) != len(texts):
            raise serializers.ValidationError("Two options have the same text.", "duplicate")
        return options

    def _refuse(self, field: str, detail: str, code: str = "invalid") -> NoReturn:
        raise serializers.ValidationError({field: [serializers.ErrorDetail(detail, code)]})

    def check_schedule(self, fields: Mapping[str, Any]) -> None:
        opens_at: datetime | None = fields.get("opens_at")
        closes_at: datetime | None = fields.get("closes_at")
        duration: int | None = fields.get("duration")
        start = max(opens_at or timezone.now(), timezone.now())
        if closes_at is not None and duration is not None:
            self._refuse("duration", "Give closes_at or duration, not both.")
        if closes_at is not None and closes_at <= start:
            self._refuse("closes_at", "This must be after the opening, and in the future.")
        if duration is not None:
            try:
                start + timedelta(seconds=duration)
            except OverflowError:
                self._refuse("duration", "The poll would close after the year 9999.")

    def check_choices(self, kind: str, fields: dict[str, Any], number: int) -> None:
        """Check the number of options, fill in and check how many choices a ballot has."""
        self.check_options(kind, number)
        given = [fields.get(name) for name in _CHOICE_FIELDS]
        try:
            bounds = kind_of(kind).choice_bounds(number, *given)
        except FieldError as error:
            self._refuse(error.field, str(error), error.code)
        fields |= zip(_CHOICE_FIELDS, bounds, strict=True)

    def check_policy(self, kind: str, policy: str, number: int) -> None:
        """A voter code is known by the key of its one vote: see `identity.voter_codes`."""
        if policy == VoterPolicy.CODE and kind_of(kind).most_votes(number) > 1:
            self._refuse("voter_policy", f"Voters of a {kind} poll have several votes each.")

    def check_options(self, kind: str, number: int) -> None:
        """Check whether a poll of this kind can have so many options."""
        try:
            kind_of(kind).check_options(number)
        except FieldError as error:
            self._refuse(error.field, str(error), error.code)


class PollCreateSerializer(PollFields):
    """POST /polls/. Only `question` and `options` are required."""

    draft = serializers.BooleanField(
        required=False, help_text="Make it, but let nobody vote until the owner opens it."
    )

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        self.check_schedule(fields)
        kind = fields.setdefault("kind", DEFAULT_KIND)
        fields["options"] = [option["text"] for option in fields.get("options", ())]
        self.check_choices(kind, fields, len(fields["options"]))
        self.check_policy(kind, fields.get("voter_policy", ""), len(fields["options"]))
        fields["is_draft"] = fields.pop("draft", False)
        return fields


def valid_new_poll(data: Any) -> dict[str, Any]:
    """The fields of a new poll.

    Raises:
        ValidationError
    """
    with suppress(serializers.ValidationError):
        fields: dict[str, Any] = _new_poll_fields(tuple(KINDS)).run_validation(data)
        return fields
    serializer = PollCreateSerializer(data=data)  # which says what is wrong
    serializer.is_valid(raise_exception=True)
    valid: dict[str, Any] = serializer.validated_data
    return valid


@lru_cache(maxsize=10)
def _new_poll_fields(kinds: tuple[str, ...]) -> PollCreateSerializer:
    """Kept, for it copies all its fields when it is made, a third of what a new poll costs. To
    validate changes nothing in it."""
    return PollCreateSerializer()


class PollUpdateSerializer(PollFields):
    """PATCH /polls/{id}/. Fields that are left out stay."""

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        """`context["poll"]` is the poll before the edit."""
        poll = self.context["poll"]
        if fields.get("closes_at") is not None and fields.get("duration") is None:
            fields.pop("duration", None)
        schedule = {"opens_at": poll.opens_at} | fields
        if not {"closes_at", "duration"} & set(fields) and fields.get("opens_at") is not None:
            end = "closes_at" if poll.duration is None else "duration"
            schedule[end] = getattr(poll, end)
        self.check_schedule(schedule)
        number = len(fields["options"]) if "options" in fields else len(poll.counts)
        if {"kind", *_CHOICE_FIELDS} & set(fields):
            rules = {name: fields[name] for name in _CHOICE_FIELDS if name in fields}
            kind = fields.get("kind", poll.kind)
            if kind == poll.kind:
                rules = {name: getattr(poll, name) for name in _CHOICE_FIELDS} | rules
            self.check_choices(kind, rules, number)
            fields |= rules
        elif "options" in fields:
            self.check_options(poll.kind, number)
        policy = fields.get("voter_policy", poll.voter_policy)
        self.check_policy(fields.get("kind", poll.kind), policy, number)
        return fields


class LinksSerializer(serializers.Serializer[Any]):
    self = serializers.URLField()
    results = serializers.URLField()
    votes = serializers.URLField()
    live = serializers.CharField(help_text="The WebSocket: ws:// or wss://")
    vote_page = serializers.URLField()
    dashboard = serializers.URLField()


class ShownOptionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    text = serializers.CharField()


class PollSerializer(serializers.Serializer[Any]):
    """A poll as every client sees it. Describes `poll_json.poll_object`."""

    id = serializers.UUIDField()
    code = serializers.CharField()
    question = serializers.CharField()
    description = serializers.CharField()
    kind = KindField()
    options = ShownOptionSerializer(many=True)
    min_choices = serializers.IntegerField()
    max_choices = serializers.IntegerField()
    status = serializers.ChoiceField(choices_of(Status))
    opens_at = serializers.DateTimeField(allow_null=True)
    closes_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    duration = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    voter_policy = serializers.ChoiceField(choices_of(VoterPolicy))
    vote_change = serializers.BooleanField()
    results_visibility = serializers.ChoiceField(choices_of(Visibility))
    min_voters = serializers.IntegerField()
    listed = serializers.BooleanField()
    embed_origins = serializers.ListField(child=serializers.CharField())
    epoch = serializers.IntegerField()
    version = serializers.IntegerField()
    links = LinksSerializer()


class PollPageSerializer(serializers.Serializer[Any]):
    """Describes a page of `pagination.NewestFirst`."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PollSerializer(many=True)


class CreatedPollSerializer(PollSerializer):
    owner_key = serializers.CharField(
        required=False, help_text="Shown this once; answers to no account-owned poll."
    )


class VoteRequestSerializer(serializers.Serializer[Any]):
    # The ballot itself is added by `kind_schemas`.
    voter_code = serializers.CharField(required=False)


class RecordedVoteSerializer(serializers.Serializer[Any]):
    # The marks are added by `kind_schemas`.
    poll = serializers.UUIDField()
    seq = serializers.IntegerField()
    epoch = serializers.IntegerField()
    cast_at = serializers.DateTimeField()


class ResultsSerializer(serializers.Serializer[Any]):
    # What each kind of poll shows besides is added by `kind_schemas`.
    poll = serializers.UUIDField()
    epoch = serializers.IntegerField()
    version = serializers.IntegerField()
    status = serializers.ChoiceField(choices_of(Status))
    final = serializers.BooleanField()
    voters = serializers.IntegerField()
    votes = serializers.IntegerField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    withheld = serializers.BooleanField(required=False)
    as_of = serializers.DateTimeField()


class TimelinePointSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    version = serializers.IntegerField()


class TimelineSerializer(serializers.Serializer[Any]):
    poll = serializers.UUIDField()
    epoch = serializers.IntegerField()
    points = TimelinePointSerializer(many=True)


class VoteAnswerSerializer(serializers.Serializer[Any]):
    vote = RecordedVoteSerializer()
    voter_token = serializers.CharField()
    results = ResultsSerializer(allow_null=True)


class MyVoteSerializer(serializers.Serializer[Any]):
    vote = RecordedVoteSerializer()


class VoterTokenRequestSerializer(serializers.Serializer[Any]):
    cookie = serializers.BooleanField(required=False, default=False)


class VoterTokenSerializer(serializers.Serializer[Any]):
    voter_token = serializers.CharField()


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details, the shape of every refusal."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = FieldErrorSerializer(  # type: ignore[assignment] # the name is RFC 9457 custom
        many=True, required=False
    )
    vote = RecordedVoteSerializer(required=False)
