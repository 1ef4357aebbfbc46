"""Headers that WhiteNoise adds to static files."""

from collections.abc import MutableMapping

# What a browser would open as a document: it gets no script, whichever package brought it.
_DOCUMENTS = (".html", ".htm", ".svg", ".xml", ".xhtml")
_DOCUMENT_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"


def protect_files(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Browsers must believe a file's Content-Type, and run nothing that a document of it says."""
    headers["X-Content-Type-Options"] = "nosniff"
    if path.lower().removesuffix(".gz").removesuffix(".br").endswith(_DOCUMENTS):
        headers["Content-Security-Policy"] = _DOCUMENT_POLICY
