"""Every frame that a socket is sent, built and encoded here and nowhere else."""

from datetime import datetime
from typing import Any

import orjson

from polls.rules.times import iso


def snapshot(poll: bytes, results: bytes | None, now: datetime, watching: int) -> str:
    """The first frame: the poll, its results (None: not shown to this one), the time."""
    shown = results or b"null"
    time = str(iso(now)).encode()
    frame = b'{"type":"snapshot","poll":%b,"results":%b,"server_time":"%b","watching":%d}'
    return (frame % (poll, shown, time, watching)).decode()


def results(body: bytes, watching: int) -> str:
    """The whole tally; `body` is an encoded results object."""
    return f'{{"type":"results","watching":{watching},{body[1:].decode()}'


def poll(body: bytes) -> str:
    """The poll, after its state or text changed; `body` is an encoded poll object."""
    return f'{{"type":"poll","poll":{body.decode()}}}'


def pong(now: datetime, watching: int) -> str:
    return f'{{"type":"pong","server_time":"{iso(now)}","watching":{watching}}}'


def error(code: str, detail: str) -> str:
    return encode({"type": "error", "code": code, "detail": detail})


def encode(frame: Any) -> str:
    return orjson.dumps(frame).decode()
