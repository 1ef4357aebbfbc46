"""Views that a test can hold: the URLs of `tests/test_django_endpoint.py`."""

import threading
from collections.abc import Iterator

from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path
from django.utils import timezone, translation


class Scene:
    """What the views do and saw; made anew by each test."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Semaphore(0)
        self.connections: list[object] = []
        self.threads: list[str] = []
        self.closed = threading.Event()
        self.failure: Exception | None = None


scene = Scene()


def held(request: HttpRequest) -> HttpResponse:
    """Uses the database, then waits until the test says so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    scene.connections.append(connection.connection)
    scene.threads.append(threading.current_thread().name)
    scene.entered.release()
    scene.go_on.wait(20)
    return HttpResponse(request.META.get("HTTP_X_FORWARDED_FOR", "-"))


def quick(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{translation.get_language()} {timezone.get_current_timezone_name()}")


def leaking(request: HttpRequest) -> HttpResponse:
    translation.activate("ar")
    timezone.activate("Asia/Tokyo")
    return HttpResponse(threading.current_thread().name)


def failing(request: HttpRequest) -> HttpResponse:
    assert scene.failure is not None
    raise scene.failure


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        try:
            if scene.failure is not None:
                raise scene.failure
            scene.entered.release()
            for _ in range(100):
                yield b"x" * 70_000
        finally:
            scene.closed.set()

    return StreamingHttpResponse(parts())


def long(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"x" * 1_000_000)


handler500 = "livepoll.problem_views.server_error"
urlpatterns = [
    path("held/", held),
    path("admin/held/", held),
    path("quick/", quick),
    path("leaking/", leaking),
    path("failing/", failing),
    path("api/failing/", failing),
    path("stream/", stream),
    path("long/", long),
    path("", include("web.urls")),  # what pages link to
]
