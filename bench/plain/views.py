from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views import View
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.plain.models import Option, Poll, Vote
from bench.plain.results import results_of
from bench.plain.serializers import PollSerializer, VoteSerializer
from polls.identity.voters import read_token


class Polls(APIView):
    def post(self, request: Request) -> Response:
        serializer = PollSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data, status=status.HTTP_201_CREATED)


class PollDetail(APIView):
    def get(self, request: Request, poll_id: str) -> Response:
        return Response(PollSerializer(get_object_or_404(Poll, pk=poll_id)).data)


class Page(View):
    def get(self, request: HttpRequest, poll_id: str) -> HttpResponse:
        poll = get_object_or_404(Poll, pk=poll_id)
        options = Option.objects.filter(poll=poll)
        return render(request, "plain_page.html", {"poll": poll, "options": options})


class Results(APIView):
    def get(self, request: Request, poll_id: str) -> Response:
        return Response(results_of(get_object_or_404(Poll, pk=poll_id)))


class Votes(APIView):
    def post(self, request: Request, poll_id: str) -> Response:
        serializer = VoteSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        voter = read_token(request.headers["Authorization"].removeprefix("Voter "))
        poll = get_object_or_404(Poll, pk=poll_id, is_open=True)
        option = get_object_or_404(Option, pk=serializer.validated_data["choice"], poll=poll)
        if Vote.objects.filter(poll=poll, voter=voter).exists():
            return Response({"detail": "Already voted."}, status=status.HTTP_409_CONFLICT)
        with transaction.atomic():
            Vote.objects.create(poll=poll, option=option, voter=voter)
            Option.objects.filter(pk=option.pk).update(votes=F("votes") + 1)
        results = results_of(poll)
        async_to_sync(get_channel_layer().group_send)(
            f"poll_{poll.pk}", {"type": "poll.results", "results": results}
        )
        return Response({"seq": results["version"], "results": results}, status=201)


class Health(APIView):
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})
