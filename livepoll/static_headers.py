"""The one policy that a static file carries."""

from collections.abc import MutableMapping


def never_sniff(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """A file is what its Content-Type says, whatever it looks like."""
    headers["X-Content-Type-Options"] = "nosniff"
