"""All refusals: one class a failure, with its code and HTTP status.

`code` is stable and documented in docs/errors.md; `title` never changes for a code,
`detail` may say more about the one case.
"""

from typing import Any, ClassVar

from polls.rules.credentials import Credential


class PollError(Exception):
    """A refusal; clients get it as problem+json or as a socket's close code.

    `missed` is the credential that was presented and matched nothing, where the refusal says so;
    `polls.http.attempts` counts it. With `forgets_cookie` the response clears the voter cookie.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "error"
    title: ClassVar[str] = "The request was refused."
    missed: Credential | None = None
    forgets_cookie = False

    def __init__(
        self,
        detail: str = "",
        *,
        errors: list[dict[str, str]] | None = None,
        retry_after: int | None = None,
        missed: Credential | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or self.title)
        if missed is not None:
            self.missed = missed
        self.detail = detail or self.title
        self.errors = errors
        self.retry_after = retry_after
        self.extra = extra

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this refusal."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Malformed(PollError):
    code = "malformed"
    title = "The body is not what this endpoint takes."


class Invalid(PollError):
    code = "invalid"
    title = "Some fields are not valid."


class VoterRequired(PollError):
    status = 401
    code = "voter_required"
    title = "This poll wants to know who votes."


class InvalidToken(PollError):
    status = 401
    code = "invalid_token"
    title = "The token is not one of ours, or no longer valid."
    missed: Credential | None = Credential.TOKEN


class InvalidCookie(InvalidToken):
    """The voter cookie is such a token. The response clears it: a stale cookie must not lock a
    phone out."""

    forgets_cookie = True


class StaleToken(InvalidToken):
    """A token that we signed: it ran out, or its account is gone. Or none at all. No guess."""

    missed = None


class InvalidCredentials(PollError):
    status = 401
    code = "invalid_credentials"
    title = "This name and password do not go together."


class OwnerRequired(PollError):
    status = 401
    code = "owner_required"
    title = "Only the poll's owner may do this."


class NotOwner(PollError):
    status = 403
    code = "not_owner"
    title = "This key or account does not own this poll."


class InvalidVoterCode(PollError):
    status = 403
    code = "invalid_voter_code"
    title = "This voter code is unknown or revoked."
    missed = Credential.VOTER_CODE


class ResultsHidden(PollError):
    status = 403
    code = "results_hidden"
    title = "The results are not shown to you, or not yet."


class OriginNotAllowed(PollError):
    status = 403
    code = "origin_not_allowed"
    title = "Pages of this origin may not use this server."


class NotFound(PollError):
    status = 404
    code = "not_found"
    title = "There is nothing here."


class PollNotFound(PollError):
    status = 404
    code = "poll_not_found"
    title = "There is no such poll."
    missed = Credential.JOIN_CODE


class NotVoted(PollError):
    status = 404
    code = "not_voted"
    title = "You have not voted in this poll."


class MethodNotAllowed(PollError):
    status = 405
    code = "method_not_allowed"
    title = "This method does not work here."


class NotAcceptable(PollError):
    status = 406
    code = "not_acceptable"
    title = "The Accept header rules out what this address can give."


class RequestTimeout(PollError):
    status = 408
    code = "request_timeout"
    title = "The request did not arrive in time."


class PollNotOpen(PollError):
    status = 409
    code = "poll_not_open"
    title = "The poll is not open."


class PollClosed(PollError):
    status = 409
    code = "poll_closed"
    title = "The poll is closed."


class AlreadyVoted(PollError):
    status = 409
    code = "already_voted"
    title = "You have voted already, and this poll does not allow changes."


class VoteChangeOff(PollError):
    status = 409
    code = "vote_change_off"
    title = "This poll does not allow a vote to be changed or taken back."


class PollHasVotes(PollError):
    status = 409
    code = "poll_has_votes"
    title = "There are votes; only the wording of options may still be corrected."


class NotCodePoll(PollError):
    status = 409
    code = "not_code_poll"
    title = "Only polls with voter_policy “code” have voter codes."


class TooManyCodes(PollError):
    status = 409
    code = "too_many_codes"
    title = "This poll has as many voter codes as it may have."


class TooLarge(PollError):
    status = 413
    code = "too_large"
    title = "The body is too large."


class URITooLong(PollError):
    status = 414
    code = "uri_too_long"
    title = "The address is too long."


class UnsupportedMediaType(PollError):
    status = 415
    code = "unsupported_media_type"
    title = "Send application/json."


class InvalidOption(PollError):
    status = 422
    code = "invalid_option"
    title = "This poll has no such option."


class TooFewChoices(PollError):
    status = 422
    code = "too_few_choices"
    title = "More choices are needed."


class TooManyChoices(PollError):
    status = 422
    code = "too_many_choices"
    title = "Fewer choices are allowed."


class DuplicateChoices(PollError):
    status = 422
    code = "duplicate_choices"
    title = "An option may be chosen once only."


class RateLimited(PollError):
    status = 429
    code = "rate_limited"
    title = "Too many requests."

    def __init__(self, detail: str = "", *, limit: int = 0, retry_after: int = 1) -> None:
        """`limit`: how many the window allows; 0 where that is not known."""
        super().__init__(detail, retry_after=retry_after)
        self.limit = limit

    @property
    def headers(self) -> dict[str, str]:
        reset = self.retry_after or 1
        return super().headers | (rate_headers(self.limit, 0, reset) if self.limit else {})


class HeadersTooLarge(PollError):
    status = 431
    code = "headers_too_large"
    title = "There are too many headers, or they are too long."


class ServerError(PollError):
    status = 500
    code = "server_error"
    title = "Something broke on our side."


class Overloaded(PollError):
    status = 503
    code = "overloaded"
    title = "The server cannot take this now. Try again."

    def __init__(self, detail: str = "", *, retry_after: int = 1, **extra: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **extra)


def rate_headers(limit: int, remaining: int, reset_seconds: int) -> dict[str, str]:
    """Three plain numbers, which clients know; the draft's one field is still being rewritten."""
    return {
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(reset_seconds),
    }


def all_errors() -> list[type[PollError]]:
    """Every failure, by status and code."""
    return sorted(PollError.__subclasses__(), key=lambda error: (error.status, error.code))


BY_CODE: dict[str, type[PollError]] = {error.code: error for error in all_errors()}
