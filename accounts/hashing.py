"""Passwords are hashed, and those of clients that guess where no vote waits for it.

A hash is half a second and more of a core, by a library that lets go of the interpreter. Clients
that have missed again and again have theirs made by two threads of their own, under Linux's idle
policy: they take what is left of the core, and are put aside the moment the event loop wants it.
Where nothing is left, who guesses waits; all others sign in as ever.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from polls.http.attempts import current_attempts

_HASHES_AT_ONCE = 2


def _stand_back() -> None:
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # of this thread alone


_idle_threads = ThreadPoolExecutor(_HASHES_AT_ONCE, "hash", initializer=_stand_back)


class PatientHasher(PBKDF2PasswordHasher):
    """Django's own; what is stored is the same."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        if not current_attempts.get().is_guessing():
            return super().encode(password, salt, iterations)
        return _idle_threads.submit(super().encode, password, salt, iterations).result()
