"""The owner's endpoints: cloning, a new key, voter codes; and the public list of corrections."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.http import JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from polls import errors, selectors, services
from polls.api import code_files, schema
from polls.api.pagination import ByNumber
from polls.api.requests import account_of_caller, base_url, created_response, owned_poll
from polls.api.schema import endpoint
from polls.api.serializers import BoundedListField, CreatedPollSerializer
from polls.http.heavy_requests import heavy
from polls.identity import voter_codes
from polls.models import Poll
from polls.rules.limits import LIMITS
from polls.rules.poll import VoterPolicy
from polls.rules.times import iso


class CloneView(APIView):
    @endpoint(
        "A new draft with the same question, options and rules (owner)",
        operation_id="polls_clone",
        responses={201: CreatedPollSerializer},
        refuses=schema.OWNER_REFUSALS,
        request=None,
        parameters=[schema.REF],
        auth=schema.OWNER_AUTH,
    )
    def post(self, request: Request, ref: str) -> Response:
        poll = owned_poll(request, ref)
        owner_id = account_of_caller(request)
        return created_response(request, *services.clone_poll(poll.id, owner_id=owner_id))


class OwnerKeySerializer(serializers.Serializer[Any]):
    owner_key = serializers.CharField(help_text="Shown this once.")


class RotateKeyView(APIView):
    @endpoint(
        "A new owner key; the old one ends (owner)",
        operation_id="polls_rotate_key",
        responses={200: OwnerKeySerializer},
        refuses=schema.OWNER_REFUSALS,
        request=None,
        parameters=[schema.REF],
        auth=schema.OWNER_AUTH,
    )
    def post(self, request: Request, ref: str) -> Response:
        owner_key = services.rotate_owner_key(owned_poll(request, ref).id)
        return Response({"owner_key": owner_key}, headers={"Cache-Control": "no-store"})


class CorrectionSerializer(serializers.Serializer[Any]):
    option = serializers.IntegerField()
    old_text = serializers.CharField()
    new_text = serializers.CharField()
    version = serializers.IntegerField()
    corrected_at = serializers.DateTimeField()


class CorrectionsSerializer(serializers.Serializer[Any]):
    corrections = CorrectionSerializer(many=True)


class CorrectionsView(APIView):
    @endpoint(
        "Corrections of option texts since the first vote",
        operation_id="polls_corrections",
        responses={200: CorrectionsSerializer},
        refuses=(errors.PollNotFound,),
        parameters=[schema.REF],
        auth=[{}],
    )
    def get(self, request: Request, ref: str) -> Response:
        made = selectors.get_poll(ref).corrections.all()
        return Response(
            {
                "corrections": [
                    {
                        "option": one.number,
                        "old_text": one.old_text,
                        "new_text": one.new_text,
                        "version": one.version,
                        "corrected_at": iso(one.corrected_at),
                    }
                    for one in made
                ]
            }
        )


class CountSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=1, max_value=LIMITS["voter_codes_a_request"])


class NumbersSerializer(serializers.Serializer[Any]):
    numbers = BoundedListField(
        child=serializers.IntegerField(min_value=1, max_value=2**31 - 1), min_length=1,
        max_length=LIMITS["voter_codes_a_request"],
    )  # fmt: skip


class NewCodeSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    code = serializers.CharField()


class NewCodesSerializer(serializers.Serializer[Any]):
    codes = NewCodeSerializer(many=True)


class CodeStatusSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    used = serializers.BooleanField()


class CodePageSerializer(serializers.Serializer[Any]):
    """Describes a page of `pagination.ByNumber`."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = CodeStatusSerializer(many=True)
    count = serializers.IntegerField(required=False, help_text="Of all codes; on the first page.")
    used = serializers.IntegerField(required=False, help_text="Of all codes; on the first page.")


class RevokedSerializer(serializers.Serializer[Any]):
    revoked = serializers.IntegerField()


class _Negotiated(BaseRenderer):
    """A media type for content negotiation; the view itself writes the response."""

    def render(self, data: Any, media_type: Any = None, context: Any = None) -> Any:
        return data


class _CSVRenderer(_Negotiated):
    media_type = "text/csv"
    format = "csv"


class _SheetRenderer(_Negotiated):
    media_type = "text/html"
    format = "sheet"


class VoterCodesView(APIView):
    """Single-use codes of a `code` poll."""

    renderer_classes = (JSONRenderer, _CSVRenderer, _SheetRenderer)

    @endpoint(
        "Voter codes by number: used, revoked (owner)",
        operation_id="voter_codes_list",
        responses={200: CodePageSerializer},
        refuses=(*schema.OWNER_REFUSALS, errors.Invalid, errors.NotFound),
        parameters=[schema.REF, *schema.PAGES],
        auth=schema.OWNER_AUTH,
    )
    def get(self, request: Request, ref: str) -> JsonResponse:
        poll = owned_poll(request, ref)
        paginator = ByNumber()
        found = paginator.paginate_queryset(voter_codes.voter_codes_of(poll.id), request, view=self)
        page: dict[str, Any] = {
            "next": paginator.get_next_link(),
            "previous": paginator.get_previous_link(),
            "results": [_shown_status(voter_codes.status_of(code)) for code in found or []],
        }
        if "cursor" not in request.query_params:
            page["count"], page["used"] = voter_codes.count_voter_codes(poll.id)
        return JsonResponse(page)  # in no other form, even if one was asked for

    @endpoint(
        "Make voter codes; shown this once (owner)",
        operation_id="voter_codes_create",
        description="As JSON, as CSV (`Accept: text/csv`) or as a sheet of QR codes to print"
        " (`Accept: text/html`).",
        responses={201: NewCodesSerializer},
        refuses=(
            *schema.OWNER_REFUSALS,
            *schema.BODY_REFUSALS,
            errors.NotCodePoll,
            errors.TooManyCodes,
        ),
        request=CountSerializer,
        parameters=[schema.REF],
        auth=schema.OWNER_AUTH,
    )
    @heavy
    def post(self, request: Request, ref: str) -> HttpResponseBase:
        poll = _code_poll(request, ref)
        serializer = CountSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        count = serializer.validated_data["count"]
        if request.accepted_renderer.format == _SheetRenderer.format:
            _refuse_long_sheet(count)
        codes = voter_codes.make_voter_codes(poll.id, count)
        response = _new_codes(request, poll, codes)
        response["Cache-Control"] = "no-store"
        return response


class RevokeCodesView(APIView):
    @endpoint(
        "Revoke voter codes; votes they cast stay (owner)",
        operation_id="voter_codes_revoke",
        responses={200: RevokedSerializer},
        refuses=(
            *schema.OWNER_REFUSALS, *schema.BODY_REFUSALS, errors.NotFound, errors.NotCodePoll,
        ),
        request=NumbersSerializer,
        parameters=[schema.REF],
        auth=schema.OWNER_AUTH,
    )  # fmt: skip
    def post(self, request: Request, ref: str) -> Response:
        poll = _code_poll(request, ref)
        serializer = NumbersSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        numbers = serializer.validated_data["numbers"]
        return Response({"revoked": voter_codes.revoke_voter_codes(poll.id, numbers)})


def _refuse_long_sheet(count: int) -> None:
    most = LIMITS["voter_codes_a_sheet"]
    if count > most:
        detail = f"A sheet has at most {most} codes; ask for CSV, or for several sheets."
        raise errors.Invalid(errors=[{"field": "count", "code": "max_value", "detail": detail}])


def _code_poll(request: Request, ref: str) -> Poll:
    poll = owned_poll(request, ref)
    if poll.voter_policy != VoterPolicy.CODE:
        raise errors.NotCodePoll
    return poll


def _shown_status(code: voter_codes.CodeStatus) -> dict[str, Any]:
    return {
        "number": code.number,
        "created_at": iso(code.created_at),
        "revoked_at": iso(code.revoked_at),
        "used": code.is_used,
    }


def _new_codes(request: Request, poll: Poll, codes: Sequence[tuple[int, str]]) -> HttpResponseBase:
    """The codes, this once, in the form that was asked for. Streamed, so that the request counts as
    heavy until its client has them."""
    page = f"{base_url(request)}/p/{poll.code}/"
    parts: Iterable[str | bytes]
    headers = {}
    match request.accepted_renderer.format:
        case _CSVRenderer.format:
            parts, content_type = code_files.csv_of(codes, page), "text/csv; charset=utf-8"
        case _SheetRenderer.format:
            parts, content_type = code_files.sheet_of(poll, codes, page), "text/html; charset=utf-8"
            headers["Content-Security-Policy"] = code_files.SHEET_POLICY
        case _:
            shown = [{"number": number, "code": code} for number, code in codes]
            parts, content_type = [orjson.dumps({"codes": shown})], "application/json"
    return StreamingHttpResponse(parts, status=201, content_type=content_type, headers=headers)
