"""Breakable wires: TCP proxies between the web processes and their servers.

They run in a process of their own, so that a busy test slows no database. Each link
can be cut, hung and delayed, and can wait for the next COMMIT to do its harm.
"""

import asyncio
import multiprocessing
import re
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Literal, Self

import uvloop

Trap = Literal["none", "lose", "swallow", "signal", "hang"]
_CHUNK = 65536
_START_DEADLINE_SECS = 30.0
# PostgreSQL's Parse message: the name, and the text.
_PREPARES_FIRST_VOTES = re.compile(rb"(__asyncpg_stmt_[0-9a-f]+__)\x00WITH given AS")


class _Link:
    """One port that leads to another.

    The trap is for the next COMMIT a client sends: `lose` it, pass it on and `swallow` the
    answer, pass it on and `signal` at once, or `hang` with it until the link is healed.
    """

    def __init__(self, target: int, signal: Any) -> None:
        self.target = target
        self.delay_secs = 0.0
        self.is_cut = False
        self.trap: Trap = "none"
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._signal = signal
        self._writers: set[asyncio.StreamWriter] = set()
        self._first_votes: set[bytes] = set()

    def _commits(self, data: bytes) -> bool:
        """Whether a client sends COMMIT here, or runs the statement of first votes, which is its
        own transaction and goes by a name once it is prepared."""
        self._first_votes.update(_PREPARES_FIRST_VOTES.findall(data))
        return b"COMMIT" in data or any(name in data for name in self._first_votes)

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def obey(self, command: str, value: Any) -> None:
        if command == "cut":
            self.is_cut = True
            self.cut()
        elif command == "hang":
            self.flowing.clear()
        elif command == "delay":
            self.delay_secs = value
        elif command == "trap":
            self.trap = value
        elif command == "heal":
            self.is_cut, self.delay_secs, self.trap = False, 0.0, "none"
            self.flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, writer, is_client=True),
                self._pump(far_reader, writer, far_writer, is_client=False),
            )
        finally:
            self._writers -= {writer, far_writer}

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        *,
        is_client: bool,
    ) -> None:
        try:
            while data := await source.read(_CHUNK):
                commits = is_client and self._commits(data)
                if commits and self.trap != "none":
                    trap, self.trap = self.trap, "none"
                    if trap == "hang":
                        self._signal()
                        self.flowing.clear()
                        await self.flowing.wait()
                        break
                    if trap != "lose":
                        sink.write(data)
                    if trap == "signal":
                        self._signal()
                        continue
                    await asyncio.sleep(0.02)  # the commit happens; its answer goes nowhere
                    break
                await self.flowing.wait()
                if self.delay_secs:
                    await asyncio.sleep(self.delay_secs)
                sink.write(data)
                await sink.drain()
        except (OSError, RuntimeError):  # uvloop's word for a closed transport is the latter
            pass
        finally:
            sink.transport.abort()
            back.transport.abort()


async def _run(control: Connection, events: Connection, targets: Mapping[str, int]) -> None:
    loop = asyncio.get_running_loop()
    links = {
        name: _Link(port, lambda name=name: events.send(name)) for name, port in targets.items()
    }
    servers = [await asyncio.start_server(link.serve, "127.0.0.1", 0) for link in links.values()]
    ended = asyncio.Event()

    def on_command() -> None:
        try:
            name, command, value = control.recv()
        except EOFError:
            ended.set()
            loop.remove_reader(control.fileno())
            return
        links[name].obey(command, value)
        control.send(None)

    loop.add_reader(control.fileno(), on_command)
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    control.send(dict(zip(links, ports, strict=True)))
    await ended.wait()
    for link in links.values():
        link.cut()
    for server in servers:
        server.close()


def _main(control: Connection, events: Connection, targets: Mapping[str, int]) -> None:
    uvloop.run(_run(control, events, targets))


class Wires:
    """The proxies. `targets` maps a link's name to the port it leads to; a context manager."""

    def __init__(self, targets: Mapping[str, int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._control, theirs = context.Pipe()
        self._events, their_events = context.Pipe()
        self._process = context.Process(
            target=_main, args=(theirs, their_events, dict(targets)), daemon=True
        )
        self._process.start()
        theirs.close()
        their_events.close()
        if not self._control.poll(_START_DEADLINE_SECS):
            raise TimeoutError("the proxies did not start")
        self.ports: dict[str, int] = self._control.recv()

    def send(self, name: str, command: str, value: object = None) -> None:
        """`cut`, `hang`, `delay` (seconds), `trap` (see _Link), or `heal` a link."""
        self._control.send((name, command, value))
        self._control.recv()

    def await_commit(self, timeout_secs: float) -> bool:
        """Whether a `signal` trap has seen its COMMIT in time. Blocks."""
        if not self._events.poll(timeout_secs):
            return False
        self._events.recv()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._control.close()
        self._process.join(10)
        self._events.close()
        self._process.close()
