"""The caller of a request: voter token, owner key, account and address from its headers."""

from typing import NamedTuple

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings as jwt_settings

from polls import errors
from polls.http.voter_cookie import voter_cookie as cookie_among
from polls.identity.account_tokens import AccessToken
from polls.identity.client_address import client_address
from polls.identity.owners import OWNER_KEY_PREFIX
from polls.identity.voters import Identity, fresh_nonce, mint_device, read_token
from polls.rules.limits import LIMITS


class Caller(NamedTuple):
    """What the headers of a request claim and prove about its sender.

    `device` and its `token` are None where no voter token came; `owner_key` is one as it
    stands, not yet compared with anything; `account_id` comes out of a token that we signed.
    """

    address: str
    device: str | None = None
    token: str | None = None
    owner_key: str | None = None
    account_id: int | None = None

    def identity(self, *, idempotency_key: str = "", voter_code: str | None = None) -> Identity:
        """Who votes. Without a token and an Idempotency-Key a device is minted.

        Raises:
            Malformed: the key is too long.
        """
        if idempotency_key:
            return self.known_identity(voter_code, idempotency_key)
        device = self.device or mint_device()
        nonce = fresh_nonce() if self.device else device
        return self._identity(device, nonce, voter_code)

    def known_identity(self, voter_code: str | None = None, idempotency_key: str = "") -> Identity:
        """The identity to look up a vote by. No device is minted: a new caller has an empty one,
        or the Idempotency-Key's.

        Raises:
            Malformed: the key is too long.
        """
        if len(idempotency_key) > LIMITS["idempotency_key_characters"]:
            raise errors.Malformed("The Idempotency-Key is too long.")
        return self._identity(self.device or "", "", voter_code, idempotency_key)

    def _identity(
        self, device: str, nonce: str, voter_code: str | None, idempotency_key: str = ""
    ) -> Identity:
        account = str(self.account_id) if self.account_id is not None else None
        return Identity(
            device, self.address, nonce, account, voter_code or None, idempotency_key, self.token
        )


def caller_of(request: Request) -> "Caller":
    """The caller of a Django request.

    Raises:
        InvalidToken
    """
    return read_caller(
        authorization=request.headers.get("Authorization", ""),
        voter_cookie=cookie_among(request.COOKIES),
        address=address_of(request),
    )


def address_of(request: Request | HttpRequest) -> str:
    """The client's address, of a Django request."""
    return client_address(
        request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", "")
    )


def account_of(access_token: str) -> int:
    """The account that a JWT access token was made for. No database.

    Raises:
        InvalidToken: not ours, expired, or of another kind.
    """
    try:
        return int(AccessToken(access_token)[jwt_settings.USER_ID_CLAIM])  # type: ignore[arg-type]
    except ExpiredTokenError:
        raise errors.StaleToken from None
    except (TokenError, KeyError, ValueError):
        raise errors.InvalidToken from None


def _read_cookie(voter_cookie: str) -> str:
    try:
        return read_token(voter_cookie)
    except errors.InvalidToken:
        raise errors.InvalidCookie from None


def read_caller(*, authorization: str, voter_cookie: str, address: str) -> Caller:
    """The caller that these headers name.

    Raises:
        InvalidToken: a voter token that is not ours, or an unknown scheme.
    """
    scheme, _, credentials = authorization.partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "voter":
        return Caller(address, device=read_token(credentials), token=credentials)
    device = _read_cookie(voter_cookie) if voter_cookie else None
    token = voter_cookie or None
    if scheme.lower() == "bearer":
        if credentials.startswith(OWNER_KEY_PREFIX):
            return Caller(address, device=device, token=token, owner_key=credentials)
        return Caller(address, device=device, token=token, account_id=account_of(credentials))
    if scheme:
        raise errors.InvalidToken("Authorization takes “Voter <token>” or “Bearer <owner key>”.")
    return Caller(address, device=device, token=token)
