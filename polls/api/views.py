"""REST for polls: thin views over services and selectors."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from polls import errors, selectors, services
from polls.api import schema
from polls.api.django_bridge import respond_through
from polls.api.pagination import NewestFirst
from polls.api.requests import account_of_caller, created_response, owned_poll, ref_of, shown
from polls.api.schema import endpoint
from polls.api.serializers import (
    CreatedPollSerializer,
    MyVoteSerializer,
    PollCreateSerializer,
    PollPageSerializer,
    PollSerializer,
    PollUpdateSerializer,
    ResultsSerializer,
    TimelineSerializer,
    VoteAnswerSerializer,
    VoteRequestSerializer,
    VoterTokenRequestSerializer,
    VoterTokenSerializer,
    valid_new_poll,
)
from polls.http.attempts import current_attempts
from polls.http.caller import caller_of
from polls.http.response import ASKED_FOR_ANEW
from polls.http.results import hidden, show_results
from polls.http.vote import cast_vote, vote_object
from polls.http.voter_token import mint_voter_token
from polls.identity.owners import is_owner
from polls.identity.voters import Identity
from polls.models import Poll
from polls.results.reader import PollQuery, Reading, reader
from polls.rules.credentials import Credential
from polls.rules.limits import LIMITS
from polls.rules.poll import PollState, Status, may_see_results
from polls.rules.refusals import OF_RETRACTIONS_ALONE, Refusal
from polls.rules.times import iso
from polls.voting.ballot_box import ballot_box
from polls.voting.vote import Cast


class PollListView(APIView):
    """Listed polls, and making one."""

    @endpoint(
        "Listed polls, newest first; drafts to their owner's account only",
        operation_id="polls_list",
        responses={200: PollPageSerializer},
        refuses=(errors.Invalid, errors.NotFound, errors.InvalidToken),
        parameters=[
            OpenApiParameter("status", enum=[one.value for one in Status]),
            OpenApiParameter("q", description="Words of the question."),
            *schema.PAGES,
        ],
        auth=[*schema.ACCOUNT_AUTH, {}],
    )
    def get(self, request: Request) -> Response:
        wanted = request.query_params.get("status")
        if wanted is not None and wanted not in list(Status):
            detail = f"One of: {', '.join(Status)}."
            raise errors.Invalid(errors=[{"field": "status", "code": "invalid", "detail": detail}])
        query = request.query_params.get("q", "")
        if "\x00" in query:
            raise errors.Invalid(
                errors=[{"field": "q", "code": "invalid", "detail": "No null characters."}]
            )
        polls = selectors.listed_polls(
            status=Status(wanted) if wanted else None,
            query=query,
            # Drafts are their owner's alone; for the rest a stale token must not matter.
            account_id=account_of_caller(request) if wanted == Status.DRAFT else None,
        )
        paginator = NewestFirst()
        page = paginator.paginate_queryset(polls, request, view=self)
        details = selectors.details_of(list(page or []))
        return paginator.get_paginated_response([shown(request, one) for one in details])

    @endpoint(
        "Make a poll",
        operation_id="polls_create",
        responses={201: CreatedPollSerializer},
        refuses=(*schema.BODY_REFUSALS, errors.InvalidToken),
        request=PollCreateSerializer,
        auth=[*schema.ACCOUNT_AUTH, {}],
    )
    def post(self, request: Request) -> Response:
        fields = valid_new_poll(request.data)
        account_id = account_of_caller(request)
        poll, owner_key = services.create_poll(owner_id=account_id, **fields)
        details = selectors.details_with(poll, enumerate(fields["options"], start=1))
        return created_response(request, details, owner_key)


class PollView(APIView):
    """One poll."""

    @endpoint(
        "One poll",
        operation_id="polls_read",
        responses={200: PollSerializer},
        refuses=(errors.PollNotFound,),
        parameters=[schema.REF],
        auth=[{}],
    )
    def get(self, request: Request, ref: str) -> Response:
        details = selectors.get_details(ref)
        current_attempts.get().found(ref)
        # The same for all, so a client may keep it; what came with credentials it keeps not.
        kept = {} if "Authorization" in request.headers else {"Cache-Control": ASKED_FOR_ANEW}
        return Response(shown(request, details), headers=kept)

    @endpoint(
        "Edit a poll (owner)",
        operation_id="polls_update",
        responses={200: PollSerializer},
        refuses=(*schema.OWNER_REFUSALS, *schema.BODY_REFUSALS, errors.PollHasVotes),
        request=PollUpdateSerializer,
        parameters=[schema.REF],
        auth=schema.OWNER_AUTH,
    )
    def patch(self, request: Request, ref: str) -> Response:
        poll = owned_poll(request, ref)
        serializer = PollUpdateSerializer(data=request.data, partial=True, context={"poll": poll})
        serializer.is_valid(raise_exception=True)
        changes = dict(serializer.validated_data)
        options = changes.pop("options", None)
        if options is not None:
            options = [(option.get("id"), option["text"]) for option in options]
        return Response(shown(request, services.update_poll(poll.id, changes, options)))

    @endpoint(
        "Delete a poll and its votes (owner)",
        operation_id="polls_delete",
        responses={204: None},
        refuses=schema.OWNER_REFUSALS,
        parameters=[schema.REF],
        auth=schema.OWNER_AUTH,
    )
    def delete(self, request: Request, ref: str) -> Response:
        services.delete_poll(owned_poll(request, ref).id)
        return Response(status=204)


def act_view(
    name: str, act: Callable[[UUID], Poll], summary: str, *refuses: type[errors.PollError]
) -> type[APIView]:
    """The view of `POST …/{name}/`: an act of the owner on a poll's life."""

    class ActView(APIView):
        @endpoint(
            f"{summary} (owner)",
            operation_id=f"polls_{name}",
            responses={200: PollSerializer},
            refuses=(*schema.OWNER_REFUSALS, *refuses),
            request=None,
            parameters=[schema.REF],
            auth=schema.OWNER_AUTH,
        )
        def post(self, request: Request, ref: str) -> Response:
            return Response(shown(request, act(owned_poll(request, ref).id)))

    return ActView


class VotesView(APIView):
    """Casting a vote. `asgi.py` routes POST to `polls.http.vote` without Django."""

    @endpoint(
        "Cast a vote",
        operation_id="votes_cast",
        responses={201: VoteAnswerSerializer, 200: VoteAnswerSerializer},
        refuses=(
            errors.VoterRequired, errors.InvalidToken, errors.InvalidVoterCode,
            errors.PollNotFound, errors.TooLarge, errors.UnsupportedMediaType,
            *(errors.BY_CODE[one] for one in Refusal if one not in OF_RETRACTIONS_ALONE),
        ),
        request=VoteRequestSerializer,
        parameters=[schema.REF, schema.IDEMPOTENCY_KEY],
        auth=schema.VOTER_AUTH,
    )  # fmt: skip
    def post(self, request: Request, ref: str) -> Any:
        return respond_through(cast_vote, request)


def _identity_of(request: Request) -> Identity:
    """Whose vote is asked for: that of the voter token, or of the Idempotency-Key it was cast with;
    in a `code` poll also of the code."""
    return caller_of(request).known_identity(
        request.headers.get("Voter-Code"), request.headers.get("Idempotency-Key", "")
    )


class MyVoteView(APIView):
    """The caller's own vote."""

    @endpoint(
        "Your vote",
        operation_id="votes_mine",
        responses={200: MyVoteSerializer},
        refuses=(errors.Malformed, errors.InvalidToken, errors.PollNotFound, errors.NotVoted),
        parameters=[schema.REF, schema.VOTER_CODE, schema.IDEMPOTENCY_KEY],
        auth=schema.VOTER_AUTH,
    )
    def get(self, request: Request, ref: str) -> Response:
        reading = reader.ask_sync(PollQuery(ref_of(ref), identity=_identity_of(request)))
        if reading.vote is None:
            unknown = Credential.VOTER_CODE if reading.is_unknown_code else None
            raise errors.NotVoted(missed=unknown)
        return Response({"vote": vote_object(reading.vote, reading.state.kind)})

    @endpoint(
        "Take your vote back",
        operation_id="votes_retract",
        responses={204: None},
        refuses=(
            errors.Malformed, errors.InvalidToken, errors.VoterRequired, errors.PollNotFound,
            errors.NotVoted, errors.VoteChangeOff, errors.PollNotOpen, errors.PollClosed,
        ),
        parameters=[schema.REF, schema.VOTER_CODE, schema.IDEMPOTENCY_KEY],
        auth=schema.VOTER_AUTH,
    )  # fmt: skip
    def delete(self, request: Request, ref: str) -> Response:
        cast = Cast(ref_of(ref), _identity_of(request), None)
        outcome = ballot_box.ask_sync(cast)
        if outcome.error is not None:
            raise outcome.error
        return Response(status=204)


class ResultsView(APIView):
    """The tally. `asgi.py` routes GET to `polls.http.results` without Django."""

    @endpoint(
        "Results",
        operation_id="results_read",
        responses={200: ResultsSerializer, 304: None},
        refuses=(errors.InvalidToken, errors.ResultsHidden, errors.PollNotFound),
        parameters=[schema.REF, schema.IF_NONE_MATCH],
        auth=[*schema.OWNER_AUTH, *schema.VOTER_AUTH],
    )
    def get(self, request: Request, ref: str) -> Any:
        return respond_through(show_results, request)


class TimelineView(APIView):
    """How the tally grew."""

    @endpoint(
        "When the votes came: some 80 versions of the tally and their times",
        operation_id="timeline_read",
        responses={200: TimelineSerializer},
        refuses=(errors.InvalidToken, errors.ResultsHidden, errors.PollNotFound),
        parameters=[schema.REF, schema.VOTER_CODE],
        auth=[*schema.OWNER_AUTH, *schema.VOTER_AUTH],
    )
    def get(self, request: Request, ref: str) -> Response:
        state = _state_with_results(request, ref)
        points = [{"at": iso(at), "version": seq} for seq, at in selectors.vote_moments(state)]
        body = {"poll": str(state.id), "epoch": state.epoch, "points": points}
        return Response(body, headers={"Cache-Control": "no-store"})


def _state_with_results(request: Request, ref: str) -> PollState:
    """The poll's state, if the caller may see its results.

    Raises:
        PollNotFound, InvalidToken, ResultsHidden
    """
    caller = caller_of(request)
    identity = caller.known_identity(request.headers.get("Voter-Code"))
    reading: Reading = reader.ask_sync(PollQuery(ref_of(ref), identity=identity))
    state = reading.state
    owner = is_owner(state, key=caller.owner_key, account_id=caller.account_id)
    has_voted = reading.vote is not None
    if not may_see_results(state, reading.status, is_owner=owner, has_voted=has_voted):
        raise hidden(caller, reading)
    if state.is_withheld:
        raise errors.ResultsHidden("Too few people have voted to show any numbers.")
    return state


class VotersView(APIView):
    """Voter tokens. `asgi.py` routes POST to `polls.http.voter_token` without Django."""

    @endpoint(
        "A new voter token",
        operation_id="voters_create",
        description='With `{"cookie": true}`, for pages: 204, and the token is the browser\'s'
        " cookie. It is the token that the request brings, if it brings one, so a browser stays"
        " the voter that it is.",
        responses={201: VoterTokenSerializer, 204: None},
        refuses=(errors.Malformed, errors.InvalidToken, errors.UnsupportedMediaType),
        request=VoterTokenRequestSerializer,
        auth=[{}, {"voterToken": []}, {"voterCookie": []}],
    )
    def post(self, request: Request) -> Any:
        return respond_through(mint_voter_token, request)


class LimitsView(APIView):
    """The limits that this server holds."""

    @endpoint(
        "Limits",
        operation_id="limits_read",
        responses={200: {"type": "object", "additionalProperties": {"type": "integer"}}},
        auth=[{}],
    )
    def get(self, request: Request) -> Response:
        return Response(LIMITS)
