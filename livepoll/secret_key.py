"""The embedded default's secret: made once, kept beside its database."""

import os
import secrets
from pathlib import Path


def embedded_secret_key(path: Path) -> str:
    """Read the secret at `path`, making it on the first call.

    Safe for processes that start together: the file is created exclusively, and the
    loser reads what the winner wrote. Mode 0600.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
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
    return path.read_text().strip()
