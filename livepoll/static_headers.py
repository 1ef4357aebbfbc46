"""Headers that WhiteNoise adds to static files."""

from collections.abc import MutableMapping


def never_sniff(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Browsers must believe a file's Content-Type and not guess it from the content."""
    headers["X-Content-Type-Options"] = "nosniff"
