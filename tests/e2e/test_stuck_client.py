"""A client that does not read: over real TCP, whose buffers must fill before the server notices."""

import asyncio
import base64
import re
import socket

from tests.e2e.clients import api_at, check_agreement, screens_on
from tests.e2e.conftest import StartSite
from tests.e2e.harness import WebProcess
from tests.poll_api import Json


async def connect_and_never_read(process: WebProcess, poll: Json) -> socket.socket:
    """A WebSocket that took its handshake and nothing after it."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, ("127.0.0.1", process.port))
    key = base64.b64encode(b"0123456789abcdef").decode()
    await loop.sock_sendall(
        deaf,
        f"GET /ws/polls/{poll['id']}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        "".encode(),
    )
    assert b"101" in await loop.sock_recv(deaf, 64)
    return deaf


async def test_it_delays_nobody_and_is_let_go(start_site: StartSite) -> None:
    site = start_site("embedded", env={"SLOW_SOCKET_SECONDS": "1"})
    async with api_at(site.url) as api:
        # A poll frame of 30 KB each time its text changes fills the buffers soon.
        poll = await api.create(options=[f"{number} ".ljust(200, "界") for number in range(50)])

        async def sockets() -> int:
            metrics = (await api.http.get("/metrics")).text
            [number] = re.findall(r"(?m)^livepoll_sockets(?:{.*})? (\d+)", metrics)
            return int(number)

        async with screens_on(site, poll, each=3) as screens:
            with await connect_and_never_read(site[0], poll):
                async with asyncio.timeout(30):
                    while await sockets() < 4:
                        pass
                    number = 0
                    while await sockets() == 4:
                        number += 1
                        for part in range(10):
                            await api.change(poll, question=f"Question {number}.{part}?")
                        answer = await api.vote(poll, 1, voter=f"voter {number}")
                        for screen in screens:
                            await screen.shows(answer["vote"]["seq"], within_secs=1)
                assert await sockets() == 3
                await check_agreement(site, [api], poll, screens)
