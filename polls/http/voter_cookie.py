"""The voter cookie: `__Host-voter` under TLS, where no other host can set it, else `voter`.

Both are read, so that a browser stays the same voter when its site moves to TLS.
"""

from collections.abc import Mapping

COOKIE_NAME = "voter"
SECURE_COOKIE_NAME = "__Host-voter"
COOKIE_NAMES = (SECURE_COOKIE_NAME, COOKIE_NAME)  # in order of trust
_MAX_AGE_SECONDS = 365 * 24 * 3600


def voter_cookie(cookies: Mapping[str, str]) -> str:
    """The voter token among a request's cookies, or ""."""
    return cookies.get(SECURE_COOKIE_NAME) or cookies.get(COOKIE_NAME, "")


def set_cookie(token: str, *, is_secure: bool) -> bytes:
    """The value of Set-Cookie by which a browser keeps its voter token."""
    name, secure = (SECURE_COOKIE_NAME, "; Secure") if is_secure else (COOKIE_NAME, "")
    return (
        f"{name}={token}; Path=/; Max-Age={_MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
    ).encode()


FORGET_COOKIES = tuple(
    f"{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}".encode()
    for name, secure in ((SECURE_COOKIE_NAME, "; Secure"), (COOKIE_NAME, ""))
)
