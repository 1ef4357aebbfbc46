"""Why a socket is closed. Those from 4400 on mean: do not retry blindly."""

from enum import IntEnum


class CloseCode(IntEnum):
    RESTARTING = 1012
    TRY_AGAIN = 1013
    BAD_FRAMES = 4400
    NOT_ALLOWED = 4403
    NO_SUCH_POLL = 4404
    TOO_SLOW = 4408
    TOO_MANY = 4429
