"""Whether this process is about to stop: then it takes no new votes and says so."""

import math

from django.conf import settings

# Later than the process stops listening, so that one retry is enough.
RETRY_AFTER_SECONDS = math.ceil(settings.DRAIN_SECONDS) + 1

_is_draining = False


def begin() -> None:
    global _is_draining
    _is_draining = True


def is_draining() -> bool:
    return _is_draining
