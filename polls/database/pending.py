"""An item that waits for its answer."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Pending(NamedTuple, Generic[Item, Answer]):
    """`convert` turns the answer into the future's result.

    It runs on the caller's event loop, for all items of a batch before any caller goes on, which
    keeps a batch's work together (docs/decisions/answers-in-one-piece.md); what it raises becomes
    the future's exception.
    """

    item: Item
    future: asyncio.Future[Any] | Future[Any]
    convert: Callable[[Answer], Any]


Settled = tuple[Pending[Item, Answer], Answer | BaseException]


def settle(settled: Iterable[Settled[Item, Answer]]) -> None:
    """Give each caller the answer, on the caller's event loop; cancelled callers are skipped."""
    for (_, future, convert), answer in settled:
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
            continue
        try:
            future.set_result(convert(answer))
        except Exception as error:
            future.set_exception(error)


def unchanged(answer: Answer) -> Answer:
    """The `convert` of a caller who wants the answer itself."""
    return answer
