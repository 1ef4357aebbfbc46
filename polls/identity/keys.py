"""Keys made of SECRET_KEY, one a purpose: none of them leads to another, or back to the secret."""

import hmac


def derive_key(secret: str, purpose: str) -> bytes:
    """32 bytes: one block of HKDF-Expand (RFC 5869) with SHA-256.

    Args:
        secret: random already, so HKDF's first half has nothing to do.
        purpose: what the key is for; never used for anything else.
    """
    return hmac.digest(secret.encode(), b"livepoll: " + purpose.encode() + b"\x01", "sha256")
