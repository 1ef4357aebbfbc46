"""Requests that cost much CPU or memory: few at once in a process, else 503.

A place is held until the response was sent, or its client gave up: what is made whole in memory
is then bounded too.
"""

import threading
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from polls.errors import Overloaded
from polls.http.caller import address_of

Method = TypeVar("Method", bound=Callable[..., Any])

_RETRY_AFTER_SECONDS = 2


class Place:
    """A right to work, given back once; at the latest when nothing holds it any more."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def __del__(self) -> None:
        self.release()


class HeavyRequests:
    """Counts those under way.

    Args:
        most: how many there may be; one address has half of them at most, rounded up.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.RLock()  # a place may be collected at any time
        self._by_address: Counter[str] = Counter()

    def take(self, address: str) -> Place:
        """Raises: Overloaded: no place is free for this address."""
        with self._lock:
            of_address = self._by_address.get(address, 0)
            if self._by_address.total() >= self._most or of_address >= (self._most + 1) // 2:
                detail = "Too many exports are under way; try again."
                raise Overloaded(detail, retry_after=_RETRY_AFTER_SECONDS)
            self._by_address[address] += 1
        return Place(lambda: self._give_back(address))

    def _give_back(self, address: str) -> None:
        with self._lock:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


heavy_requests = HeavyRequests(settings.HEAVY_REQUESTS)


def heavy(method: Method) -> Method:
    """For a method of a view: refused before it begins where too many are under way.

    Raises:
        Overloaded
    """

    @wraps(method)
    def bounded(view: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        place = heavy_requests.take(address_of(request))
        try:
            response: HttpResponse = method(view, request, *args, **kwargs)
        except BaseException:
            place.release()
            raise
        response._resource_closers.append(place.release)  # type: ignore[attr-defined]
        return response

    return bounded  # type: ignore[return-value]
