"""Livepoll with one more view, which sleeps: `python -m uvicorn bench.slow_app:application`."""

import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from asgi import application
from livepoll.urls import urlpatterns as _urlpatterns

__all__ = ["application", "urlpatterns"]

SLEEP_SECS = 0.5


def sleep(request: HttpRequest) -> HttpResponse:
    time.sleep(SLEEP_SECS)
    return HttpResponse("slept")


urlpatterns = [path("sleep/", sleep), *_urlpatterns]
settings.ROOT_URLCONF = __name__
