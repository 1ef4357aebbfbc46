"""The whole application in this process: its REST API and its sockets on one event loop."""

import asyncio
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
import pytest

from tests.poll_api import PollApi


@pytest.fixture
async def api(transactional_db: None, settings: Any) -> AsyncIterator[PollApi]:
    """The API of `asgi.application`, on a database of this test's own."""
    from asgi import application
    from livepoll.lifespan import stop
    from realtime.hub import running_hub

    settings.ALLOWED_HOSTS = ["testserver"]
    running_hub()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application),
        base_url="http://testserver",
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    ) as http:
        yield PollApi(http)
    await stop()
    await asyncio.sleep(0)  # the iteration in which connections of this loop are closed
