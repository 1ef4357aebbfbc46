"""Requests that cost much CPU or memory: few at once in a process, else 503.

A place is held until the response was sent, or its client gave up: what is made whole in memory
is then bounded too. Who found none is in line for the next free one, and while someone is, clients
that read slowly are not waited for long (`is_wanted`).
"""

import threading
import time
from collections import Counter, OrderedDict
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
# A turn is kept for a client that comes again as it was told to.
_TURN_SECONDS = 10.0
_MOST_IN_LINE = 1_000


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

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.RLock()  # a place may be collected at any time
        self._by_address: Counter[str] = Counter()
        # Addresses that have none and were refused, first come first, and until when that counts.
        self._line: OrderedDict[str, float] = OrderedDict()

    def take(self, address: str) -> Place:
        """A free place, if no other address has been in line for it for longer.

        Raises:
            Overloaded: none is free for this address.
        """
        with self._lock:
            of_address = self._by_address.get(address, 0)
            if of_address >= (self._most + 1) // 2:
                raise _too_many()
            self._clear_line()
            ahead = list(self._line).index(address) if address in self._line else len(self._line)
            if self._most - self._by_address.total() <= ahead:
                if not of_address and ahead < _MOST_IN_LINE:
                    self._line[address] = self._clock() + _TURN_SECONDS
                raise _too_many()
            self._line.pop(address, None)
            self._by_address[address] += 1
        return Place(lambda: self._give_back(address))

    def is_wanted(self) -> bool:
        """Whether an address that has no place waits for one. From any thread."""
        with self._lock:
            self._clear_line()
            return bool(self._line)

    def _clear_line(self) -> None:
        now = self._clock()
        for address in [one for one, until in self._line.items() if until <= now]:
            del self._line[address]

    def _give_back(self, address: str) -> None:
        with self._lock:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


def _too_many() -> Overloaded:
    detail = "Too many exports are under way; try again."
    return Overloaded(detail, retry_after=_RETRY_AFTER_SECONDS)


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
