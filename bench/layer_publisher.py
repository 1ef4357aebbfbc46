"""Publishes tallies as a web process does: reads versions, calls `group_send`.

`python -m bench.layer_publisher POLL_ID`, a version a line on standard input.
"""

import asyncio
import os
import sys
from typing import Any
from uuid import UUID

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livepoll.settings")

import django

django.setup()

from channels.layers import get_channel_layer  # noqa: E402

from polls.selectors import get_states  # noqa: E402
from realtime import messages  # noqa: E402


async def publish_all(poll_id: UUID, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        version = int(line)
        counts = dict.fromkeys(message["counts"], version // 4)
        newest = {"version": version, "voters": version, "votes": version, "counts": counts}
        await layer.group_send(messages.group(poll_id), message | newest)


def main() -> None:
    (state,) = get_states({UUID(sys.argv[1])})
    asyncio.run(publish_all(state.id, messages.tally(state)))


if __name__ == "__main__":
    main()
