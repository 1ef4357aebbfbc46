"""How a connection that breaks a bound is sent away: one response, one count, one event."""

import orjson

from livepoll.transport.metrics import REFUSED
from polls import errors
from polls.http.problems import PROBLEM_CONTENT_TYPE, problem_of
from polls.security_events import Event, report

_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class Refused(Exception):
    """Raised by a parser's callback: what has come so far is refused.

    Args:
        reason: the metric's label.
        error: what the client gets, where it can be given a response.
    """

    def __init__(self, reason: str, error: errors.PollError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


def note_refusal(reason: str, address: str) -> None:
    """Count and report a refusal."""
    REFUSED.labels(reason).inc()
    report(Event.CONNECTION_REFUSED, reason, address=address)


def response_bytes(error: errors.PollError) -> bytes:
    """A whole HTTP response that closes the connection, as problem+json."""
    body = orjson.dumps(problem_of(error))
    retry = b"" if error.retry_after is None else b"retry-after: %d\r\n" % error.retry_after
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (error.status, _PHRASES[error.status]),
            b"content-type: %b\r\n" % PROBLEM_CONTENT_TYPE.encode(),
            b"content-length: %d\r\n" % len(body),
            b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n",
            b"error-code: %b\r\n" % error.code.encode(),
            retry,
            b"connection: close\r\n\r\n",
            body,
        )
    )
