"""A stand-in for the polls API that keeps the contract's promises and can be made to misbehave.

Runs over real TCP in a thread of its own, so that the replay meets real connections.
"""

import json
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

POLL_ID = "5b0f4a52-3d0c-4a8e-9d43-1f1f0c7a0d11"

Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class FakePolls:
    """One poll, K7QM2X. `answer_vote` may answer (status, headers, code) instead of recording."""

    options: list[str]
    kind: str = "single"
    voter_policy: str = "device"
    answer_vote: Callable[[int], tuple[int, dict[str, str], str] | None] = lambda number: None
    dropped_tries: set[int] = field(default_factory=set)  # votes recorded but never answered
    port: int = 0
    tries: int = 0
    cookies: list[str] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    votes: dict[str, list[int]] = field(default_factory=dict)
    _awaited: tuple[int, threading.Event] = (0, threading.Event())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reached(self, votes: int) -> threading.Event:
        """Set once so many votes are recorded; one such wait at a time."""
        self._awaited = (votes, threading.Event())
        return self._awaited[1]

    def counts(self) -> Counter[str]:
        return Counter(self.options[choices[0] - 1] for choices in self.votes.values())

    def poll(self) -> dict[str, Any]:
        links = {name: f"{self.url}/{name}" for name in ("vote_page", "dashboard", "results")}
        return {
            "id": POLL_ID,
            "code": "K7QM2X",
            "question": "Who?",
            "kind": self.kind,
            "voter_policy": self.voter_policy,
            "options": [{"id": i, "text": text} for i, text in enumerate(self.options, 1)],
            "links": links,
        }

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event["body"]
            if not event.get("more_body"):
                break
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        await self._answer(scope["method"], scope["path"], headers, body, send)

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, send: Send
    ) -> None:
        if (method, path) == ("POST", "/api/v1/polls/"):
            self.created.append(json.loads(body))
            self.kind, self.options = self.created[-1]["kind"], self.created[-1]["options"]
            await _reply(send, 201, {**self.poll(), "owner_key": "owner-key"})
        elif path.endswith("/votes/"):
            await self._vote(headers, json.loads(body)["choices"], send)
        elif path.endswith("/results/"):
            tally = self.counts()
            counts = {str(i): tally[text] for i, text in enumerate(self.options, 1)}
            await _reply(send, 200, {"version": tally.total(), "counts": counts})
        elif path in ("/api/v1/polls/K7QM2X/", f"/api/v1/polls/{POLL_ID}/"):
            await _reply(send, 200, self.poll())
        else:
            await _reply(send, 404, {"code": "poll_not_found"})

    async def _vote(self, headers: dict[str, str], choices: list[int], send: Send) -> None:
        self.tries += 1
        number = self.tries
        self.cookies += [headers["cookie"]] if "cookie" in headers else []
        scripted = self.answer_vote(number)
        if scripted is not None:
            status, extra, code = scripted
            await _reply(send, status, {"code": code}, extra)
            return
        key = headers["idempotency-key"]
        repeated = key in self.votes
        assert self.votes.setdefault(key, choices) == choices
        if len(self.votes) >= self._awaited[0]:
            self._awaited[1].set()
        if number in self.dropped_tries:
            # An answer cut off after its first byte: the client sees the connection break.
            await _reply(send, 201, {}, {"content-length": "100"})
            return
        cookie = {"set-cookie": f"voter={key}; Path=/"}
        await _reply(send, 200 if repeated else 201, {"vote": {"choices": choices}}, cookie)


async def _reply(
    send: Send, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    sent = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@contextmanager
def running(polls: FakePolls) -> Iterator[FakePolls]:
    """Serve `polls` on a free port of this machine until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    polls.port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(
            polls,
            ws="none",
            lifespan="off",
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield polls
    finally:
        server.should_exit = True
        thread.join()
