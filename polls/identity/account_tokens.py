"""Account tokens: JWTs signed by a key of their own. Those signed by SECRET_KEY itself, as all were
before, stay valid until they expire."""

from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken
from rest_framework_simplejwt.settings import api_settings

from polls.identity.keys import derive_key


class _Backend(TokenBackend):
    """Signs by the derived key, reads by either.

    Only of the newest secret: an older one in SECRET_KEY_FALLBACKS may have leaked, and must not
    sign accounts in.
    """

    def __init__(self) -> None:
        super().__init__(api_settings.ALGORITHM, derive_key(settings.SECRET_KEY, "account tokens"))  # type: ignore[arg-type]
        self._before = TokenBackend(api_settings.ALGORITHM, settings.SECRET_KEY)

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        try:
            return super().decode(token, verify)
        except TokenBackendExpiredToken:
            raise
        except TokenBackendError:
            return self._before.decode(token, verify)


@cache
def _backend() -> _Backend:
    return _Backend()


@receiver(setting_changed)
def _forget_secret(**_: object) -> None:
    _backend.cache_clear()


class AccessToken(tokens.AccessToken):
    def get_token_backend(self) -> TokenBackend:
        return _backend()


class RefreshToken(tokens.RefreshToken):
    access_token_class = AccessToken

    def get_token_backend(self) -> TokenBackend:
        return _backend()
