"""The owner's exports: CSV of results and votes, a report as PDF."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from exports import selectors
from exports.csv_cells import csv_lines
from polls import errors
from polls.api import schema
from polls.api.requests import base_url, owned_poll, whole_number
from polls.http.heavy_requests import heavy
from polls.models import Poll


class _FileRenderer(BaseRenderer):
    media_type = "*/*"
    format = "file"

    def render(self, data: Any, media_type: Any = None, context: Any = None) -> Any:
        return data


class _ExportView(APIView):
    renderer_classes = (JSONRenderer, _FileRenderer)


def _refuse_withheld(results: dict[str, Any]) -> None:
    if results.get("withheld"):
        raise errors.ResultsHidden("Too few people have voted to show any numbers.")


def _file(response: Any, poll: Poll, name: str) -> Any:
    response["Content-Disposition"] = f'attachment; filename="poll-{poll.code}-{name}"'
    response["Cache-Control"] = "no-store"
    return response


def _csv_endpoint(summary: str, name: str, **more: Any) -> Callable[[Any], Any]:
    return schema.endpoint(
        f"{summary} (owner)",
        operation_id=f"export_{name}",
        responses={},
        files={200: "text/csv"},
        refuses=(*schema.OWNER_REFUSALS, errors.ResultsHidden, errors.Invalid),
        auth=schema.OWNER_AUTH,
        **more,
    )


class ResultsCSVView(_ExportView):
    @_csv_endpoint("Results as CSV", "results_csv", parameters=[schema.REF])
    def get(self, request: Request, ref: str) -> HttpResponse:
        poll = owned_poll(request, ref)
        results = selectors.results_of_poll(poll)
        _refuse_withheld(results)
        rows = selectors.result_rows(poll, results, selectors.option_texts(poll))
        response = HttpResponse("".join(csv_lines(rows)), content_type="text/csv")
        return _file(response, poll, "results.csv")  # type: ignore[no-any-return]


class VotesCSVView(_ExportView):
    @_csv_endpoint(
        "Every vote event as CSV, of one epoch or all",
        "votes_csv",
        parameters=[schema.REF, OpenApiParameter("epoch", OpenApiTypes.INT)],
    )
    @heavy
    def get(self, request: Request, ref: str) -> StreamingHttpResponse:
        poll = owned_poll(request, ref)
        _refuse_withheld(selectors.results_of_poll(poll))
        lines = csv_lines(selectors.vote_rows(poll, _epoch(request)))
        response = StreamingHttpResponse(lines, content_type="text/csv")
        return _file(response, poll, "votes.csv")  # type: ignore[no-any-return]


class ReportView(_ExportView):
    @schema.endpoint(
        "A report of the poll as PDF (owner)",
        operation_id="export_report",
        responses={},
        files={200: "application/pdf"},
        refuses=(*schema.OWNER_REFUSALS, errors.ResultsHidden),
        parameters=[schema.REF],
        auth=schema.OWNER_AUTH,
    )
    @heavy
    def get(self, request: Request, ref: str) -> HttpResponse:
        poll = owned_poll(request, ref)
        results = selectors.results_of_poll(poll)
        _refuse_withheld(results)
        # Its library takes 0.1 s and 6 MiB, which a server without PDFs need not spend.
        from exports.report import report_pdf

        body = report_pdf(poll, results, selectors.option_texts(poll), base_url(request))
        return _file(  # type: ignore[no-any-return]
            HttpResponse(body, content_type="application/pdf"), poll, "report.pdf"
        )


def _epoch(request: Request) -> int | None:
    given = request.query_params.get("epoch")
    if given is None:
        return None
    epoch = whole_number(given, 2**31 - 1)
    if epoch is None:
        detail = "A whole number."
        raise errors.Invalid(errors=[{"field": "epoch", "code": "invalid", "detail": detail}])
    return epoch
