"""The application behind limits of the test's own, counted in this process."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.polls.conftest import site

__all__ = ["site"]

BehindLimits = Callable[..., Any]


@pytest.fixture
def behind_limits(settings: Any) -> BehindLimits:
    """The whole application behind new counts, with RATE_… as given; the other limits as wide as
    by default."""

    def build(**rates: str) -> Any:
        from asgi import application_behind
        from livepoll.rate_limits import RateLimits

        settings.RATE_LIMITS = True
        settings.REDIS_URL = ""
        for name, rate in rates.items():
            setattr(settings, name, rate)
        return application_behind(RateLimits())

    return build
