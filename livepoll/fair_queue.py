"""What waits, by whose it is: they take turns, so that no one fills the queue for the others."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class FairQueue(Generic[Key, Item]):
    """Items under keys: in order of arrival for each sender, one of each sender in turn.

    With one sender it is a plain queue. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._by_sender: OrderedDict[str, dict[Key, Item]] = OrderedDict()  # next in turn first
        self._senders: dict[Key, str] = {}

    def __len__(self) -> int:
        return len(self._senders)

    def add(self, sender: str, key: Key, item: Item) -> None:
        self._senders[key] = sender
        self._by_sender.setdefault(sender, {})[key] = item

    def take(self) -> tuple[Key, Item]:
        """The next one; there must be one."""
        sender, items = next(iter(self._by_sender.items()))
        self._by_sender.move_to_end(sender)
        key = next(iter(items))
        return key, self._remove(key)

    def discard(self, key: Key) -> None:
        """It waits no more, if it did."""
        if key in self._senders:
            self._remove(key)

    def make_room_for(self, sender: str) -> Key | None:
        """Remove the newest of who has most waiting: where that leaves them no fewer than `sender`
        has with one more. Looks at each sender once.

        Returns:
            The key that was removed; None where no sender has more than their share.
        """
        greediest = max(self._by_sender, key=lambda one: len(self._by_sender[one]), default=sender)
        items, own = self._by_sender.get(greediest, {}), self._by_sender.get(sender, {})
        if len(items) <= len(own) + 1:
            return None
        key = next(reversed(items))
        self._remove(key)
        return key

    def _remove(self, key: Key) -> Item:
        sender = self._senders.pop(key)
        items = self._by_sender[sender]
        item = items.pop(key)
        if not items:
            del self._by_sender[sender]
        return item
