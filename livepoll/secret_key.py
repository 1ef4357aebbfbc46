"""The secret that signs tokens and hides voters: what is too weak, and the embedded default's own,
made once and kept beside its database."""

import os
import secrets
from pathlib import Path

from livepoll.private_files import make_private, make_private_folder

LEAST_CHARACTERS = 32
LEAST_DIFFERENT = 8
# What guides and templates print; a key that begins so is known to every reader.
KNOWN_STARTS = (
    *("django-insecure-", "change", "your-secret", "your_secret", "replace", "example", "insecure"),
    *("secret-key", "secret_key", "secretkey", "development", "password", "not-a-secret"),
)
MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


def weakness_of(key: str) -> str | None:
    """Why a key must not sign anything, or None.

    With a guessed key one makes voter tokens and sign-ins, and finds out who voted what. A test of
    form only: it finds keys that were typed, not random ones that leaked.
    """
    if len(key) < LEAST_CHARACTERS:
        return f"has {len(key)} characters, and needs {LEAST_CHARACTERS} or more"
    if len(set(key)) < LEAST_DIFFERENT:
        return f"has {len(set(key))} different characters, and needs {LEAST_DIFFERENT} or more"
    if key.lower().startswith(KNOWN_STARTS):
        return "begins like an example from a guide"
    return None


def cure(problem: str) -> str:
    """What to do about a weak key, without losing who has voted."""
    return (
        f"SECRET_KEY {problem}. Make one with: {MAKE_ONE}\n"
        "If votes were cast with the old one, put it into SECRET_KEY_FALLBACKS: who has voted "
        "stays known."
    )


def embedded_secret_key(path: Path) -> str:
    """Read the secret at `path`, making it on the first call.

    Safe for processes that start together: the file is created exclusively, and the
    loser reads what the winner wrote. Mode 0600, also where it was wider before.

    Raises:
        OSError: the folder cannot be written.
    """
    make_private_folder(path.parent)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        try:
            # Atomic, so never half-written; fails when another process was first.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    make_private(path)
    return path.read_text().strip()
