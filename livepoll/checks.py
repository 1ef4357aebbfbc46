"""Settings that must not stand in production: `manage.py check --deploy` refuses them.

Each says the cure. An error is what lets a stranger in or takes a bound away; a warning is what
some set-ups want. `manage.py doctor` runs them too, and looks at what settings cannot say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from livepoll.private_files import readable_by_others, sqlite_files
from livepoll.secret_key import MAKE_ONE, weakness_of

ONE_YEAR_SECONDS = 365 * 24 * 60 * 60
# The machine itself, and names that no resolver gives to strangers.
LOCAL_HOSTS = frozenset(("", "localhost", "127.0.0.1", "::1"))
_KNOWN_PASSWORDS = frozenset(
    ("", "password", "postgres", "livepoll", "redis", "secret", "changeme", "admin", "user")
)


@register(Tags.security, deploy=True)
def check_secrets(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if weakness := weakness_of(settings.SECRET_KEY):
        hint = f"Make one with: {MAKE_ONE}"
        found.append(Error(f"SECRET_KEY {weakness}.", hint=hint, id="livepoll.E001"))
    for place, key in enumerate(settings.SECRET_KEY_FALLBACKS, start=1):
        if weakness := weakness_of(key):
            found.append(
                Warning(
                    f"Number {place} of SECRET_KEY_FALLBACKS {weakness}: tokens signed with it can "
                    "be forged.",
                    hint="Drop it once the polls begun with it are closed.",
                    id="livepoll.W001",
                )
            )
    return found


@register(Tags.security, deploy=True)
def check_openness(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.DEBUG:
        found.append(
            Error(
                "DEBUG is on: tracebacks and settings are shown to every client.",
                hint="Unset DEBUG.", id="livepoll.E002",
            )
        )  # fmt: skip
    if not settings.RATE_LIMITS:
        found.append(
            Error(
                "RATE_LIMITS is off: passwords and voter codes may be guessed without end.",
                hint="Unset RATE_LIMITS; raise single RATE_… settings where a crowd needs it.",
                id="livepoll.E003",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error(
                "ALLOWED_HOSTS has *: any name pointed at this server passes for its own.",
                hint="List the names that clients use.", id="livepoll.E004",
            )
        )  # fmt: skip
    for origin in settings.ALLOWED_ORIGINS:
        parts = urlsplit(origin)
        if parts.scheme != "https" and parts.hostname not in LOCAL_HOSTS:
            found.append(
                Error(
                    f"ALLOWED_ORIGINS has {origin}: pages that anyone on the way can change may "
                    "act as their visitors.",
                    hint="Use https://… there.", id="livepoll.E005",
                )
            )  # fmt: skip
    return found


@register(Tags.security, deploy=True)
def check_servers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name, url, number in (
        ("DATABASE_URL", settings.DATABASE_URL, "E006"),
        ("REDIS_URL", settings.REDIS_URL, "E007"),
    ):
        parts = urlsplit(url)
        is_server = parts.scheme in ("postgres", "postgresql", "redis", "rediss")
        if is_server and parts.hostname and (parts.password or "") in _KNOWN_PASSWORDS:
            found.append(
                Error(
                    f"{name} has no password, or one that is guessed first.",
                    hint="Set one there and in the server; make it with: openssl rand -hex 24",
                    id=f"livepoll.{number}",
                )
            )
    return found


@register(Tags.security, deploy=True)
def check_transport(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not settings.TRUSTED_PROXIES:
        found.append(
            Warning(
                "TRUSTED_PROXIES is 0: behind a proxy all clients share one address, and https is "
                "not seen, so cookies are not Secure and HSTS is not sent.",
                hint="Set it to the number of proxies in front that set X-Forwarded-For.",
                id="livepoll.W002",
            )
        )
    if settings.SECURE_HSTS_SECONDS < ONE_YEAR_SECONDS:
        found.append(
            Warning(
                f"HSTS_SECONDS is {settings.SECURE_HSTS_SECONDS}: browsers soon try http again.",
                hint="Unset it once https works: a year is the default.", id="livepoll.W003",
            )
        )  # fmt: skip
    return found


@register(Tags.security, deploy=True)
def check_files(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{file} has mode {mode:o}: others on this machine may read or change it.",
            hint=f"chmod 600 {file}", id="livepoll.E008",
        )
        for file, mode in exposed_files()
    ]  # fmt: skip


def secret_files() -> Iterator[Path]:
    """The files with votes or secrets in them that this server keeps itself."""
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        yield from sqlite_files(Path(database["NAME"]))
    kept = settings.DATA_DIR / "secret_key"
    if kept.is_file():
        yield kept


def exposed_files() -> Iterator[tuple[Path, int]]:
    for file in secret_files():
        if mode := readable_by_others(file):
            yield file, mode
