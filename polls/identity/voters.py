"""Who is voting: signed voter tokens, and the voter key that a poll stores.

A poll never stores a token, an account or an address, only HMAC(secret, poll, identity):
without the secret it leads back to none of them, and two polls cannot be linked by it. How
strong each policy is stands in docs/voters.md.
"""

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from functools import cache, cached_property, lru_cache
from itertools import count
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed
from django.core.signing import BadSignature, Signer
from django.dispatch import receiver
from django.utils.encoding import force_bytes

from polls.errors import InvalidToken, VoterRequired
from polls.rules.poll import VoterPolicy

COOKIE_NAME = "voter"
COOKIE_MAX_AGE_SECONDS = 365 * 24 * 3600
_DEVICE_ID_BYTES = 16


class VoterSigner(Signer):
    """Django's signer, which derives its key anew for every signature; this one keeps it.

    The signatures are the same.
    """

    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        derived = _derived_key(force_bytes(self.salt) + b"signer", force_bytes(key or self.key))
        return urlsafe_b64encode(_mac(derived, force_bytes(value))).rstrip(b"=").decode()

    def unsign(self, signed_value: str) -> str:
        value, _, signature = signed_value.rpartition(self.sep)
        mac = _mac(self._own_key, value.encode())
        if hmac.compare_digest(urlsafe_b64encode(mac).rstrip(b"="), signature.encode()):
            return value
        return super().unsign(signed_value)  # by an older key, or not ours

    @cached_property
    def _own_key(self) -> bytes:
        return _derived_key(force_bytes(self.salt) + b"signer", force_bytes(self.key))


@lru_cache(maxsize=32)
def _derived_key(salt: bytes, secret: bytes) -> bytes:
    """As in `django.utils.crypto.salted_hmac`."""
    return hashlib.sha256(salt + secret).digest()


_signer = VoterSigner(salt="livepoll.voter", sep=".")


class Identity(NamedTuple):
    """All that a request says of its voter; the poll's policy picks what counts.

    `nonce` stands for the request itself: fresh, or the same for the same Idempotency-Key.
    """

    device: str
    address: str
    nonce: str
    account: str | None = None
    voter_code: str | None = None


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


def device_of_request(idempotency_key: str) -> str:
    """The device id that belongs to an Idempotency-Key: the same key, the same voter."""
    digest = _digest(b"idempotency:" + idempotency_key.encode())
    return urlsafe_b64encode(digest[:_DEVICE_ID_BYTES]).decode().rstrip("=")


def token_of(device: str) -> str:
    return _signer.sign(device)


def read_token(token: str) -> str:
    """The device id in a voter token.

    Raises:
        InvalidToken: it was not signed by us.
    """
    try:
        return _signer.unsign(token)
    except BadSignature:
        raise InvalidToken from None


def voter_key(poll_id: UUID, policy: str, identity: Identity, slot: str = "") -> str:
    """What this poll stores of this voter: 32 bits of the poll's id, 96 of an HMAC, in
    hexadecimal digits, which Python hashes and compares faster than a UUID. No I/O.

    The keys of one poll begin alike, so that they lie together in the index of all keys.

    Args:
        slot: which of the voter's votes in the poll, where the kind gives a voter several
            (`Kind.slot`): each has a key of its own, and none leads to another.
    Raises:
        VoterRequired: the policy asks for what the request did not bring.
    """
    poll = poll_id.bytes
    who = _who(policy, identity)
    if slot:  # with its length, so that no slot and voter together read like others
        who = f"slot:{len(slot)}:{slot}{who}"
    digest = _digest(poll + who.encode())
    return (poll[:4] + digest[:12]).hex()


def _who(policy: str, identity: Identity) -> str:
    if policy == VoterPolicy.DEVICE:
        return f"device:{identity.device}"
    if policy == VoterPolicy.OPEN:
        return f"request:{identity.nonce}"
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


def voter_key_of_code(poll_id: UUID, code: str) -> str:
    """The voter key that a voter code leads to."""
    return voter_key(poll_id, VoterPolicy.CODE, Identity("", "", "", voter_code=code))


def _digest(message: bytes) -> bytes:
    return _ended(_begun_mac(), message)


@cache
def _begun_mac() -> hmac.HMAC:
    """By the oldest known secret: keys of stored voters must outlive a rotation."""
    secret: str = (settings.SECRET_KEY_FALLBACKS or [settings.SECRET_KEY])[-1]
    return hmac.new(secret.encode(), b"livepoll.voter:", "sha256")


@receiver(setting_changed)
def _forget_secret(**_: object) -> None:
    _begun_mac.cache_clear()


def _mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256. `hmac.digest` would let go of the interpreter's lock for each."""
    return _ended(_keyed_mac(key), message)


def _ended(begun: hmac.HMAC, message: bytes) -> bytes:
    mac = begun.copy()
    mac.update(message)
    return mac.digest()


@lru_cache(maxsize=32)
def _keyed_mac(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")
