"""Owner keys: secrets by which the owner of a poll acts without an account.

A key is 192 random bits, so a plain SHA-256 keeps it as safe as itself; it is shown once,
stored hashed and compared in constant time.
"""

import hashlib
import hmac
import secrets

from polls.rules.poll import PollState

OWNER_KEY_PREFIX = "owner_"


def new_owner_key() -> str:
    return f"{OWNER_KEY_PREFIX}{secrets.token_urlsafe(24)}"


def hash_owner_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def is_owner(state: PollState, *, key: str | None = None, account_id: int | None = None) -> bool:
    """Whether this key or account owns the poll."""
    if account_id is not None and state.owner_id == account_id:
        return True
    if not key or not state.owner_key_hash:
        return False
    return hmac.compare_digest(hash_owner_key(key), state.owner_key_hash)
