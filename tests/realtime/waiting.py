"""Waiting for a state, with a deadline."""

import asyncio
from collections.abc import Callable


async def eventually(check: Callable[[], object], *, within_secs: float = 15) -> None:
    """Return as soon as `check` says yes; fail when it does not in time."""
    try:
        async with asyncio.timeout(within_secs):
            while not check():  # noqa: ASYNC110 (what is awaited knows nothing of us)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {within_secs} s") from None
