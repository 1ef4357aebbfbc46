"""What a client must not send: frames and handshakes, most of them wrong, made by chance."""

import json
import random
import struct

from tests.chaos.wire import (
    OP_BINARY,
    OP_CLOSE,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    frame_bytes,
    upgrade_bytes,
)

_SCALARS = (None, True, 0, -1, 1e308, 2**80, "", "ping", "identify", "\0", "\u202e", "x" * 5000)


def broken_frames(chance: random.Random, number: int = 3) -> bytes:
    """So many frames, most of them wrong."""
    return b"".join(broken_frame(chance) for _ in range(number))


def odd_json(chance: random.Random, depth: int = 0) -> object:
    """JSON of no shape that was asked for, with the names that are."""
    if depth > 3 or chance.random() < 0.4:
        return chance.choice(_SCALARS)
    if chance.random() < 0.3:
        return [odd_json(chance, depth + 1) for _ in range(chance.randrange(4))]
    names = ("type", "voter_token", "voter_code", "poll", "")
    return {chance.choice(names): odd_json(chance, depth + 1) for _ in range(chance.randrange(4))}


def broken_frame(chance: random.Random) -> bytes:
    noise = chance.randbytes(chance.choice([0, 1, 5, 125, 126, 1000, 4097, 6000]))
    code = struct.pack("!H", chance.randrange(65536))
    odd = json.dumps(odd_json(chance)).encode()
    return chance.choice(
        [
            frame_bytes(noise),
            frame_bytes(odd),
            frame_bytes(
                b'{"type":"identify","voter_token":%b}' % json.dumps(odd_json(chance)).encode()
            ),
            frame_bytes(b"\xff\xfe" + noise),  # no UTF-8
            frame_bytes(b"x" * 100_000),
            frame_bytes(b"p" * 126, chance.choice([OP_PING, OP_PONG, OP_CLOSE])),  # too long
            frame_bytes(noise, OP_BINARY),
            frame_bytes(b'{"type":"ping"}'),
            frame_bytes(b'{"type":"identify","voter_token":"%b"}' % noise.hex().encode()),
            frame_bytes(b'{"type":["ping"],"voter_token":{}}'),
            frame_bytes(b"[" * min(len(noise), 4000)),
            frame_bytes(b'{"type":"identify","voter_token":"\\ud800"}'),
            frame_bytes(noise, first=0x00 | OP_TEXT),  # a fragment without an end
            frame_bytes(noise, first=0xF0 | OP_TEXT),  # reserved bits
            frame_bytes(noise[:125], chance.randrange(16)),  # any opcode
            frame_bytes(code + noise[:100], OP_CLOSE),
            frame_bytes(noise[:125], chance.choice([OP_PING, OP_PONG])),
            b"\x81\xff" + b"\xff" * 8 + noise,  # a length of 2^64
            b"\x81\x05hello",  # not masked
        ]
    )


def broken_handshake(chance: random.Random, path: str) -> bytes:
    good = upgrade_bytes(path)
    kind = chance.randrange(8)
    if kind == 0:
        return good[: chance.randrange(1, len(good))]
    if kind == 1:
        return good.replace(b"Version: 13", b"Version: " + chance.randbytes(3).hex().encode())
    if kind == 2:
        return good.replace(b"Sec-WebSocket-Key", b"X-Not-The-Key")
    if kind == 3:
        return good.replace(
            b"Host: 127.0.0.1", b"Host: \xff\xfe" + chance.randbytes(4).hex().encode()
        )
    if kind == 4:
        return good.replace(path.encode(), b"/ws/polls/" + chance.randbytes(20).hex().encode())
    if kind == 5:
        return good.replace(
            path.encode(), b"/ws/polls/%ff%00%2e%2e/" + b"x" * chance.randrange(3000)
        )
    if kind == 6:
        return good.replace(
            b"\r\n\r\n",
            b"\r\nCookie: voter=" + chance.randbytes(30).hex().encode() + b'"\\;;=\r\n\r\n',
        )
    return chance.randbytes(200)
