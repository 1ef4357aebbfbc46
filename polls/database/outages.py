"""Which errors mean that the database takes nothing now, though it may soon: answered with 503.

Gone, starting or stopping, out of connections, out of disk, read-only (a standby that is not the
primary yet), or without the tables of this version, because it is not migrated yet.
"""

import time

from django.db import InterfaceError, OperationalError
from psycopg2 import errorcodes

# What Django calls neither operational nor an interface's error.
_OUTAGES = frozenset(
    (
        errorcodes.READ_ONLY_SQL_TRANSACTION,
        errorcodes.IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        "25P04",  # transaction_timeout
        errorcodes.UNDEFINED_TABLE,
        errorcodes.UNDEFINED_COLUMN,
    )
)
# A full disk or a read-only database is seen by what writes: so long after a refused batch, with
# none stored since, this process is not ready.
_REFUSAL_LASTS_SECONDS = 5.0


def is_outage(error: BaseException | None) -> bool:
    """Whether `error`, or what it was raised from, says that the database takes nothing now."""
    while error is not None:
        if isinstance(error, OperationalError | InterfaceError):
            return True
        if getattr(error, "pgcode", None) in _OUTAGES:
            return True
        error = error.__cause__
    return False


class LastWrite:
    """How the newest attempt to store votes ended."""

    def __init__(self) -> None:
        self._refused: tuple[float, str] | None = None

    def was_stored(self) -> None:
        self._refused = None

    def was_refused(self, error: BaseException) -> None:
        self._refused = time.monotonic(), type(error.__cause__ or error).__name__

    def refusal(self) -> str | None:
        """The error's name, if the database refused votes within the last seconds."""
        refused = self._refused
        if refused is None or time.monotonic() - refused[0] > _REFUSAL_LASTS_SECONDS:
            return None
        return refused[1]


last_write = LastWrite()
