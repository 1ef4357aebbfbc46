"""Who is voting: signed voter tokens, and the voter key that a poll stores.

A poll never stores a token, an account or an address, only HMAC(key, poll, identity): without the
key it leads back to none of them, and two polls cannot be linked by it. Keys are derived from
SECRET_KEY, one a purpose; tokens and polls from before know SECRET_KEY itself (`Derivation`). How
strong each policy is stands in docs/voters.md.
"""

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import count
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from polls.errors import InvalidToken, VoterRequired
from polls.identity.keys import derive_key
from polls.rules.poll import CAST_BY_TOKEN, Derivation, PollState, VoterPolicy

_DEVICE_ID_BYTES = 16
_REPEATED_FROM_BEFORE = timedelta(days=1)


def _tag(mac: hmac.HMAC, device: str) -> str:
    return urlsafe_b64encode(_ended(mac, device.encode())).decode().rstrip("=")


class Identity(NamedTuple):
    """All that a request says of its voter; the poll's policy picks what counts.

    `device` is that of the voter token, or a new one; it is "" where an Idempotency-Key stands for
    it, poll by poll (`device_in`). `nonce` stands for the request itself, and is "" likewise.
    `token` is the voter token as it came.
    """

    device: str
    address: str
    nonce: str
    account: str | None = None
    voter_code: str | None = None
    idempotency_key: str = ""
    token: str | None = None


_process = ""
_numbers = count()


def _begin_process() -> None:
    global _process
    _process = secrets.token_hex(16)


_begin_process()
os.register_at_fork(after_in_child=_begin_process)


def fresh_nonce() -> str:
    """A nonce that no other request ever has, without asking for random bits each time."""
    return f"{_process}.{next(_numbers)}"


def mint_device() -> str:
    """A new device id: 128 random bits as text."""
    return urlsafe_b64encode(secrets.token_bytes(_DEVICE_ID_BYTES)).decode().rstrip("=")


def device_in(state: PollState, identity: Identity) -> str:
    """The device that votes in this poll; "" where the request brought neither a voter token nor
    an Idempotency-Key."""
    return identity.device or _device_of_key(state, identity.idempotency_key)


def _device_of_key(state: PollState, idempotency_key: str) -> str:
    """The same key, the same voter; in polls from before even across polls."""
    if not idempotency_key:
        return ""
    return _made_device(state.derivation, state.id, idempotency_key)


@lru_cache(maxsize=1000)  # a vote needs it twice: to be stored, and for the token in its response
def _made_device(derivation: int, poll_id: UUID, idempotency_key: str) -> str:
    message = b"idempotency:" + idempotency_key.encode()
    if derivation != Derivation.SHARED:
        message = poll_id.bytes + message
    digest = _ended(_voter_mac(derivation), message)
    return urlsafe_b64encode(digest[:_DEVICE_ID_BYTES]).decode().rstrip("=")


def token_of(device: str) -> str:
    """The voter token of a device: `<device>.<signature>`."""
    return f"{device}.{_tag(_token_macs()[0], device)}"


def read_token(token: str) -> str:
    """The device id in a voter token.

    Raises:
        InvalidToken: it was not signed by us.
    """
    device, _, tag = token.rpartition(".")
    for mac in _token_macs():
        if hmac.compare_digest(_tag(mac, device).encode(), tag.encode()):
            return device
    raise InvalidToken


def is_from_before(token: str) -> bool:
    """Whether a valid token was signed by SECRET_KEY itself, before keys were derived from it."""
    device, _, tag = token.rpartition(".")
    macs = _token_macs()
    return any(
        hmac.compare_digest(_tag(mac, device).encode(), tag.encode())
        for mac in macs[len(macs) // 2 :]
    )


def may_repeat_from_before(token: str | None, cast_at: datetime, now: datetime) -> bool:
    """Whether a vote from before, of which it is not known what token cast it, is shown again to
    who casts the same with this token: the answer to a vote just before an upgrade may have been
    lost."""
    return now - cast_at < _REPEATED_FROM_BEFORE and token is not None and is_from_before(token)


def voter_key(state: PollState, identity: Identity, slot: str = "") -> str:
    """What this poll stores of this voter: 32 bits of the poll's id, 96 of an HMAC, in
    hexadecimal digits, which Python hashes and compares faster than a UUID. No I/O.

    The keys of one poll begin alike, so that they lie together in the index of all keys.

    Args:
        slot: which of the voter's votes in the poll, where the kind gives a voter several
            (`Kind.slot`): each has a key of its own, and none leads to another.
    Raises:
        VoterRequired: the policy asks for what the request did not bring.
    """
    poll = state.id.bytes
    who = _who(state, identity)
    if slot:  # with its length, so that no slot and voter together read like others
        who = f"slot:{len(slot)}:{slot}{who}"
    digest = _ended(_voter_mac(state.derivation), poll + who.encode())
    return (poll[:4] + digest[:12]).hex()


def caster_key(state: PollState, voter: str, identity: Identity) -> str | None:
    """What is stored beside a vote of who cast it, where the voter key leaves that open
    (`CAST_BY_TOKEN`); else None. 32 hexadecimal digits: half of the voter token's, half of the
    Idempotency-Key's, or of one where the other did not come. Either shows the vote
    (`is_same_caster`). Two votes cannot be linked by it.

    Args:
        voter: the vote's voter key.
    """
    if state.voter_policy not in CAST_BY_TOKEN:
        return None
    of_key = _device_of_key(state, identity.idempotency_key)
    caster = _caster(voter, identity.device or of_key)
    if not (identity.device and of_key):
        return caster
    return caster[:16] + _caster(voter, of_key)[16:]


def is_same_caster(one: str | None, other: str | None) -> bool:
    """Whether two caster keys of one voter key have the token or the Idempotency-Key in common;
    where the policy keeps none, there is but one."""
    if one is None or other is None:
        return one is other
    return one[:16] == other[:16] or one[16:] == other[16:]


def _caster(voter: str, device: str) -> str:
    message = f"caster:{voter}:{device}"
    return _ended(_voter_mac(Derivation.OWN), message.encode())[:16].hex()


def _who(state: PollState, identity: Identity) -> str:
    policy = state.voter_policy
    if policy == VoterPolicy.DEVICE:
        return f"device:{identity.device or _device_of_key(state, identity.idempotency_key)}"
    if policy == VoterPolicy.OPEN:
        return f"request:{identity.nonce or _device_of_key(state, identity.idempotency_key)}"
    if policy == VoterPolicy.IP:
        return f"ip:{identity.address}"
    if policy == VoterPolicy.CODE:
        if not identity.voter_code:
            raise VoterRequired("This poll takes votes with a voter code: send “voter_code”.")
        return f"code:{normalised_code(identity.voter_code)}"
    if not identity.account:
        raise VoterRequired("This poll takes votes of accounts: sign in first.")
    return f"account:{identity.account}"


def normalised_code(code: str) -> str:
    """A voter code as it is hashed: people type them in any case, with or without dashes."""
    return "".join(letter for letter in code.upper() if letter.isalnum())


def voter_key_of_code(state: PollState, code: str) -> str:
    """The voter key that a voter code leads to."""
    by_code = state._replace(voter_policy=VoterPolicy.CODE)
    return voter_key(by_code, Identity("", "", "", voter_code=code))


@cache
def _voter_mac(derivation: int) -> hmac.HMAC:
    """By the oldest known secret: keys of stored voters must outlive a rotation."""
    secret: str = (settings.SECRET_KEY_FALLBACKS or [settings.SECRET_KEY])[-1]
    if derivation == Derivation.SHARED:
        return hmac.new(secret.encode(), b"livepoll.voter:", "sha256")
    return hmac.new(derive_key(secret, "voter keys"), digestmod="sha256")


@cache
def _token_macs() -> tuple[hmac.HMAC, ...]:
    """For signatures of voter tokens: by the newest secret first, then by each older one; then the
    same again as they were made before, by Django's Signer."""
    secrets_known = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return (
        *(hmac.new(derive_key(one, "voter tokens"), digestmod="sha256") for one in secrets_known),
        *(
            hmac.new(
                hashlib.sha256(b"livepoll.voter" + b"signer" + one.encode()).digest(),
                digestmod="sha256",
            )
            for one in secrets_known
        ),
    )


@receiver(setting_changed)
def _forget_secret(**_: object) -> None:
    _voter_mac.cache_clear()
    _made_device.cache_clear()
    _token_macs.cache_clear()


def _ended(begun: hmac.HMAC, message: bytes) -> bytes:
    """HMAC-SHA256. `hmac.digest` would let go of the interpreter's lock for each."""
    mac = begun.copy()
    mac.update(message)
    return mac.digest()
