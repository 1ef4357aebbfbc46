"""Publishes tallies as the vote view does: reads versions, calls `group_send`.

`python -m bench.plain.publisher POLL_ID`, a version a line on standard input.
"""

import asyncio
import os
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.plain.settings")

import django

django.setup()

from channels.layers import get_channel_layer  # noqa: E402

from bench.plain.models import Poll  # noqa: E402
from bench.plain.results import results_of  # noqa: E402


async def publish_all(poll_id: str, results: dict[str, Any]) -> None:
    layer = get_channel_layer()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        version = int(line)
        counts = dict.fromkeys(results["counts"], version // 4)
        newest = {"version": version, "voters": version, "votes": version, "counts": counts}
        event = {"type": "poll.results", "results": results | newest}
        await layer.group_send(f"poll_{poll_id}", event)


def main() -> None:
    poll_id = sys.argv[1]
    asyncio.run(publish_all(poll_id, results_of(Poll.objects.get(pk=poll_id))))


if __name__ == "__main__":
    main()
