from typing import Any

from rest_framework import serializers

from bench.plain.models import Option, Poll


class PollSerializer(serializers.Serializer[Poll]):
    id = serializers.UUIDField(read_only=True)
    question = serializers.CharField(max_length=300)
    options = serializers.ListField(child=serializers.CharField(max_length=200), min_length=2)

    def create(self, validated_data: dict[str, Any]) -> Poll:
        poll = Poll.objects.create(question=validated_data["question"])
        Option.objects.bulk_create(
            Option(poll=poll, text=text) for text in validated_data["options"]
        )
        return poll

    def to_representation(self, poll: Poll) -> dict[str, Any]:
        options = [{"id": option.pk, "text": option.text} for option in poll.options.all()]
        return {"id": str(poll.pk), "question": poll.question, "options": options}


class VoteSerializer(serializers.Serializer[Any]):
    choice = serializers.IntegerField()
