"""Static files with hashed names, compressed beforehand. Page scripts and styles: page_files.py."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # untyped
    """What `collectstatic` writes in the image."""

    def compress_files(self, paths: Iterable[str]) -> Iterator[Any]:
        """Only our own: the API documentation's bundles take a minute to squeeze."""
        ours = [path for path in paths if path.startswith(("web/", "polls/"))]
        yield from super().compress_files(ours)


class CompressStaticFiles(GZipMiddleware):
    """Compresses our files where nothing has collected them; they keep no secret to guess at."""

    max_random_bytes = 0

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if not request.path.startswith(settings.STATIC_URL):
            return response
        return super().process_response(request, response)
