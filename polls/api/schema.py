"""How endpoints say in OpenAPI what they refuse and who may call them."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from polls import errors
from polls.api.serializers import ProblemSerializer
from polls.http.problems import PROBLEM_CONTENT_TYPE

ErrorClass = type[errors.PollError]

_ALWAYS: tuple[ErrorClass, ...] = (
    errors.Malformed,
    errors.MethodNotAllowed,
    errors.NotAcceptable,
    errors.RateLimited,
    errors.ServerError,
    errors.Overloaded,
    # Of the transport: a request of any method has its bounds.
    errors.RequestTimeout,
    errors.TooLarge,
    errors.URITooLong,
    errors.HeadersTooLarge,
)

# Of requests that change something: foreign pages are refused before any endpoint.
_ALWAYS_UNSAFE: tuple[ErrorClass, ...] = (errors.OriginNotAllowed,)

REF = OpenApiParameter(
    "ref", str, OpenApiParameter.PATH, description="The poll's id or its join code, in any case."
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Without a voter token: the same key is the same voter of this poll, so a retry"
    " is safe.",
)
VOTER_CODE = OpenApiParameter(
    "Voter-Code",
    str,
    OpenApiParameter.HEADER,
    description="Whose vote, in a `code` poll; with the voter token that cast it.",
)
PAGES = (
    OpenApiParameter("cursor", description="From `next` or `previous`."),
    OpenApiParameter("page_size", int, description="1 to 100."),
)
IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER)

Security = list[dict[str, list[str]]]
OWNER_REFUSALS = (errors.InvalidToken, errors.OwnerRequired, errors.NotOwner, errors.PollNotFound)
BODY_REFUSALS = (
    errors.Malformed, errors.Invalid, errors.TooLarge, errors.UnsupportedMediaType,
)  # fmt: skip

VOTER_AUTH: Security = [{"voterCookie": []}, {"voterToken": []}, {"ownerKey": []}, {}]
OWNER_AUTH: Security = [{"ownerKey": []}]
ACCOUNT_AUTH: Security = [{"ownerKey": []}]


def endpoint(
    summary: str,
    *,
    responses: dict[int, Any],
    refuses: tuple[ErrorClass, ...] = (),
    files: dict[int, str] | None = None,
    **more: Any,
) -> Callable[[Any], Any]:
    """`extend_schema` with every refusal of the endpoint as problem+json."""
    documented: dict[Any, Any] = {}
    for status, serializer in responses.items():
        documented[(status, "application/json") if serializer else status] = serializer
    for status, media_type in (files or {}).items():
        documented[(status, media_type)] = OpenApiTypes.BINARY

    def decorate(method: Any) -> Any:
        of_every_endpoint = _ALWAYS if method.__name__ == "get" else (*_ALWAYS, *_ALWAYS_UNSAFE)
        every = documented | _problems((*refuses, *of_every_endpoint))
        described = extend_schema(summary=summary, responses=every, **more)(method)
        described.summary = summary  # for OPTIONS
        return described

    return decorate


def _problems(refuses: tuple[ErrorClass, ...]) -> dict[Any, Any]:
    by_status: dict[int, list[str]] = {}
    for error in dict.fromkeys(refuses):
        by_status.setdefault(error.status, []).append(error.code)
    return {
        (status, PROBLEM_CONTENT_TYPE): OpenApiResponse(
            ProblemSerializer, description=" or ".join(f"`{code}`" for code in codes)
        )
        for status, codes in by_status.items()
    }
