"""/metrics: this process's numbers for Prometheus, which asks each process by its address.

Answered before Django and by any Host, but to no request that came through a proxy: whichever
stands in front, and however it is set up, it publishes no numbers.
"""

import asyncio
import re
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from livepoll.shared_answer import SharedAnswer
from polls import errors
from polls.http.response import respond, respond_problem

# By families: a proxy may set one and not another. Who scrapes sends none of them.
_SET_BY_PROXIES = re.compile(
    rb"via|forwarded|cdn-loop|x-(forwarded|original|envoy|amzn|azure|appengine|real)-.*|cf-.*"
    rb"|fastly-.*|(.*-)?(client|connecting)-ip"
)
_numbers = SharedAnswer(lambda: asyncio.to_thread(generate_latest))


async def metrics(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if any(_SET_BY_PROXIES.fullmatch(name) for name, _ in scope["headers"]):
        await respond_problem(send, errors.NotFound(), [])
        return
    await respond(send, 200, await _numbers.get(), [], CONTENT_TYPE_LATEST.encode())
