"""How many connections a turn of the loop takes: newcomers do not wait behind each other, and a
burst of them holds up nothing."""

import asyncio
import socket
from contextlib import ExitStack

import pytest
import uvloop

from livepoll.management.commands.serve import ACCEPTS_A_TURN, several

pytestmark = pytest.mark.above_databases

CLIENTS = 40


async def most_accepted_in_a_turn(listeners: list[socket.socket]) -> int:
    loop = asyncio.get_running_loop()
    accepted = [0]
    all_here = loop.create_future()

    class Counted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted[-1] += 1
            if sum(accepted) == CLIENTS:
                all_here.set_result(None)
            transport.close()

    def turn() -> None:
        accepted.append(0)
        if not all_here.done():
            loop.call_soon(turn)

    servers = [await loop.create_server(Counted, sock=one, backlog=CLIENTS) for one in listeners]
    turn()
    async with asyncio.timeout(10):
        await all_here
    for server in servers:
        server.close()
    return max(accepted)


def test_a_turn_of_the_loop_takes_several_connections_and_not_all() -> None:
    with ExitStack() as stack:
        own = stack.enter_context(socket.socket())
        own.bind(("127.0.0.1", 0))
        own.listen(CLIENTS)
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket())
            client.connect(own.getsockname())
        listeners = several([own])
        assert listeners[0] is own
        assert uvloop.run(most_accepted_in_a_turn(listeners)) == ACCEPTS_A_TURN
