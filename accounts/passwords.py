"""Every password that is tried, over the API and in the admin's form, is asked for and counted."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest

from polls.errors import InvalidCredentials, RateLimited
from polls.http.attempts import current_attempts
from polls.rules.credentials import Credential
from polls.security_events import Event, report


class CountedPasswords(ModelBackend):
    """Django's own, between the limits on guessing."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> User | None:
        """The account, or None. A name without an account takes as long as one with.

        Raises:
            RateLimited: this address has tried too many passwords, here before one is hashed; or
                the password is wrong, and so many were for this account.
        """
        name = username or ""
        attempts = current_attempts.get()
        attempts.check_now(Credential.PASSWORD, account=name)
        user = super().authenticate(request, username=username, password=password, **more)
        if user is not None:
            attempts.signed_in()
            report(Event.SIGNED_IN, target=f"account:{name}")
            return user
        counted = attempts.count_now(InvalidCredentials(missed=Credential.PASSWORD), account=name)
        if isinstance(counted, RateLimited):
            raise counted
        return None
