"""Which view a path leads to, in any spelling: the middleware and the rate limits agree."""

from functools import lru_cache
from typing import NamedTuple

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.urls import Resolver404, resolve

_LONGEST_KEPT = 200  # of what clients send, only so long a path is kept in the cache


class Route(NamedTuple):
    """A path as Django's URL configuration has it.

    Args:
        name: the view's name with its namespace; of a view without one, its dotted path.
        ref: the poll that the path names.
        path: the spelling that Django knows.
    """

    name: str
    ref: str | None
    path: str


def route_of(path: str) -> Route | None:
    """Where this path leads, with or without its slash; None: nowhere."""
    return _kept(path) if len(path) <= _LONGEST_KEPT else _find(path)


def _find(path: str) -> Route | None:
    for spelling in _spellings(path):
        try:
            match = resolve(spelling)
        except Resolver404:
            continue
        ref = match.kwargs.get("ref") or match.kwargs.get("code")
        return Route(match.view_name, ref, spelling)
    return None


_kept = lru_cache(maxsize=2_000)(_find)


@receiver(setting_changed)
def _forget(**_: object) -> None:
    _kept.cache_clear()


def _spellings(path: str) -> tuple[str, ...]:
    if not path.endswith("/"):
        return path, f"{path}/"
    return (path,) if path.endswith("//") else (path, path[:-1])
