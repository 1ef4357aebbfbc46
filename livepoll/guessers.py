"""Addresses that try passwords without end: whose hashes may wait (`accounts.hashing`).

More than four requests under way at once are so many tries, as long as they wait. A crowd mistypes,
and signs in: two misses to one success make no guesser. Counted by each process for itself; the
limits on misses are elsewhere (`livepoll.attempts`).
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

_MISSES = 10
_AT_ONCE = 4
_WORTH_OF_A_SUCCESS = 2
_FORGOTTEN_SECONDS = 600.0
_MOST_ADDRESSES = 10_000


class Guessers:
    """Misses of each address, less those that its successes make good. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counting = Lock()
        self._under_way: Counter[str] = Counter()
        self._misses: OrderedDict[str, tuple[int, float]] = OrderedDict()  # and when it last missed

    def __len__(self) -> int:
        return len(self._misses)

    def knows(self, address: str) -> bool:
        return self._under_way[address] > _AT_ONCE or self._misses_of(address) >= _MISSES

    @contextmanager
    def trying(self, address: str) -> Iterator[None]:
        """For as long as one request of this address that costs a hash is under way."""
        with self._counting:
            self._under_way[address] += 1
        try:
            yield
        finally:
            with self._counting:
                self._under_way[address] -= 1
                if not self._under_way[address]:
                    del self._under_way[address]

    def miss(self, address: str) -> None:
        with self._counting:
            misses = min(self._misses_of(address) + 1, 2 * _MISSES)
            self._misses[address] = misses, self._clock()
            self._misses.move_to_end(address)
            if len(self._misses) > _MOST_ADDRESSES:
                self._misses.popitem(last=False)

    def succeed(self, address: str) -> None:
        with self._counting:
            misses, last = self._misses.get(address, (0, 0.0))
            if misses > _WORTH_OF_A_SUCCESS:
                self._misses[address] = misses - _WORTH_OF_A_SUCCESS, last
            else:
                self._misses.pop(address, None)

    def _misses_of(self, address: str) -> int:
        misses, last = self._misses.get(address, (0, 0.0))
        return misses if self._clock() - last < _FORGOTTEN_SECONDS else 0
