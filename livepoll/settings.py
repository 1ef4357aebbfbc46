"""Every setting, read from the environment once, loud when wrong.

With nothing set this is the embedded default: SQLite in ./data, the in-process
channel layer and cache, one process. DATABASE_URL and REDIS_URL move the same
code to PostgreSQL and Redis. `.env.example` lists every variable.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
import limits
from corsheaders.defaults import default_headers
from django.conf import global_settings
from django.core.exceptions import ImproperlyConfigured

from livepoll.private_files import make_private_folder, make_private_sqlite
from livepoll.secret_key import MAKE_ONE, cure, embedded_secret_key, weakness_of
from livepoll.static_headers import protect_files

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = BASE_DIR / "data"


class Env(environ.Env):  # type: ignore[misc] # untyped
    """The environment; an error about a value names the variable."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var} cannot be read: {error}") from None

    def switch(self, var: str, *, default: str) -> bool:
        """A setting that is `on` or `off`."""
        value = self.str(var, default=default).lower()
        if value not in ("on", "off"):
            raise ImproperlyConfigured(f"{var} must be on or off, not {value}.")
        return bool(value == "on")

    def flag(self, var: str) -> bool:
        """A setting that is 1 or 0, yes or no, true or false, on or off; without a value 0."""
        value = self.str(var, default="").lower()
        if value not in (*self.BOOLEAN_TRUE_STRINGS, "0", "no", "false", "off", ""):
            raise ImproperlyConfigured(f"{var} must be 1 or 0, not {value}.")
        return value in self.BOOLEAN_TRUE_STRINGS


env = Env()

DEBUG: bool = env.flag("DEBUG")
DATABASE_URL: str = env.str("DATABASE_URL", default="")
REDIS_URL: str = env.str("REDIS_URL", default="")
EMBEDDED = not DATABASE_URL
if DATABASE_URL and not DATABASE_URL.startswith(("postgres://", "postgresql://", "sqlite://")):
    raise ImproperlyConfigured("DATABASE_URL must be postgres://… or sqlite:///….")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must be redis://… or rediss://….")

SECRET_KEY: str = env.str("SECRET_KEY", default="")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
if not SECRET_KEY:
    if not (DEBUG or EMBEDDED):
        raise ImproperlyConfigured(
            "SECRET_KEY is required when DATABASE_URL is set and DEBUG is off. Make one with: "
            + MAKE_ONE
        )
    SECRET_KEY = embedded_secret_key(DATA_DIR / "secret_key")
if not DEBUG and (_weakness := weakness_of(SECRET_KEY)):
    raise ImproperlyConfigured(cure(_weakness))

# This machine's own names always work: no page of another site can have them.
OWN_HOSTS = ["localhost", "127.0.0.1", "[::1]", ".localhost"]
ALLOWED_HOSTS: list[str] = [*env.list("ALLOWED_HOSTS", default=[]), *OWN_HOSTS]
# Full origins (scheme://host[:port]) that may use the API and the socket from a browser,
# besides the server's own.
ALLOWED_ORIGINS: list[str] = env.list("ALLOWED_ORIGINS", default=[])
for _origin in ALLOWED_ORIGINS:
    if not _origin.startswith(("http://", "https://")):
        raise ImproperlyConfigured(f"ALLOWED_ORIGINS takes https://host, not {_origin}.")
PORT: int = env.int("PORT", default=8000)
WEB_PROCESSES: int = env.int("WEB_PROCESSES", default=2)
# How many reverse proxies in front of us set X-Forwarded-For; 0 ignores the header.
TRUSTED_PROXIES: int = env.int("TRUSTED_PROXIES", default=0)

BROADCAST_INTERVAL_MS: int = env.int("BROADCAST_INTERVAL_MS", default=100)
RECONCILE_INTERVAL_MS: int = env.int("RECONCILE_INTERVAL_MS", default=2000)
BALLOT_BOX_CAPACITY: int = env.int("BALLOT_BOX_CAPACITY", default=10_000)
BALLOT_BOX_BATCH: int = env.int("BALLOT_BOX_BATCH", default=1000)
# Threads for all that is not votes, results and sockets; each has a database connection.
REQUEST_THREADS: int = env.int("REQUEST_THREADS", default=4)
REQUEST_QUEUE: int = env.int("REQUEST_QUEUE", default=1000)
# Exports and sheets of codes that are made at once.
HEAVY_REQUESTS: int = env.int("HEAVY_REQUESTS", default=3)
# Mounts the read-only admin (polls/admin.py) at /admin/.
ADMIN: bool = env.switch("ADMIN", default="off")
RATE_LIMITS: bool = env.switch("RATE_LIMITS", default="on")
if TRUSTED_PROXIES < 0:
    raise ImproperlyConfigured(f"TRUSTED_PROXIES must be 0 or more, not {TRUSTED_PROXIES}.")
# How often one address may do what ("N/second", "N/minute"); a room shares one address.
RATE_VOTES: str = env.str("RATE_VOTES", default="10000/10second")
RATE_POLLS: str = env.str("RATE_POLLS", default="60/minute")
RATE_ACCOUNTS: str = env.str("RATE_ACCOUNTS", default="120/minute")
RATE_REQUESTS: str = env.str("RATE_REQUESTS", default="600/minute")
# How often who may guess wrong: an address, all at one poll, all at one account, and one address
# at one account. docs/rate-limits.md says what each of them refuses.
RATE_MISSES: str = env.str("RATE_MISSES", default="1000/minute")
RATE_POLL_MISSES: str = env.str("RATE_POLL_MISSES", default="1000/hour")
RATE_ACCOUNT_MISSES: str = env.str("RATE_ACCOUNT_MISSES", default="100/hour")
RATE_PASSWORDS: str = env.str("RATE_PASSWORDS", default="20/hour")
for _name, _rate in (
    ("RATE_VOTES", RATE_VOTES),
    ("RATE_POLLS", RATE_POLLS),
    ("RATE_ACCOUNTS", RATE_ACCOUNTS),
    ("RATE_REQUESTS", RATE_REQUESTS),
    ("RATE_MISSES", RATE_MISSES),
    ("RATE_POLL_MISSES", RATE_POLL_MISSES),
    ("RATE_ACCOUNT_MISSES", RATE_ACCOUNT_MISSES),
    ("RATE_PASSWORDS", RATE_PASSWORDS),
):
    try:
        limits.parse(_rate)
    except ValueError:
        raise ImproperlyConfigured(f'{_name} must be like "20/minute", not {_rate}.') from None
# Bounds, not rates: RATE_LIMITS=off leaves them as they are. A hall of 5,000 phones behind one
# address has 5,200 sockets, and browsers keep up to six connections besides for a while.
MAX_CONNECTIONS: int = env.int("MAX_CONNECTIONS", default=60_000)
MAX_CONNECTIONS_PER_ADDRESS: int = env.int("MAX_CONNECTIONS_PER_ADDRESS", default=40_000)
MAX_SOCKETS: int = env.int("MAX_SOCKETS", default=50_000)
MAX_SOCKETS_PER_ADDRESS: int = env.int("MAX_SOCKETS_PER_ADDRESS", default=15_000)
REQUEST_SECONDS: int = env.int("REQUEST_SECONDS", default=20)
RESPONSE_SECONDS: int = env.int("RESPONSE_SECONDS", default=30)
SOCKET_FRAMES_PER_SECOND: int = env.int("SOCKET_FRAMES_PER_SECOND", default=10)
SLOW_SOCKET_SECONDS: int = env.int("SLOW_SOCKET_SECONDS", default=10)

# How long a process still answers 503 after SIGTERM before it closes.
DRAIN_SECONDS: float = env.float("DRAIN_SECONDS", default=1.0)
if DRAIN_SECONDS < 0:
    raise ImproperlyConfigured(f"DRAIN_SECONDS must be 0 or more, not {DRAIN_SECONDS}.")
LOG_FORMAT: str = env.str("LOG_FORMAT", default="text")
if LOG_FORMAT not in ("text", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT must be text or json, not {LOG_FORMAT}.")

for _name, _value in (
    ("BROADCAST_INTERVAL_MS", BROADCAST_INTERVAL_MS),
    ("RECONCILE_INTERVAL_MS", RECONCILE_INTERVAL_MS),
    ("BALLOT_BOX_CAPACITY", BALLOT_BOX_CAPACITY),
    ("BALLOT_BOX_BATCH", BALLOT_BOX_BATCH),
    ("REQUEST_THREADS", REQUEST_THREADS),
    ("REQUEST_QUEUE", REQUEST_QUEUE),
    ("HEAVY_REQUESTS", HEAVY_REQUESTS),
    ("WEB_PROCESSES", WEB_PROCESSES),
    ("MAX_CONNECTIONS", MAX_CONNECTIONS),
    ("MAX_CONNECTIONS_PER_ADDRESS", MAX_CONNECTIONS_PER_ADDRESS),
    ("MAX_SOCKETS", MAX_SOCKETS),
    ("MAX_SOCKETS_PER_ADDRESS", MAX_SOCKETS_PER_ADDRESS),
    ("REQUEST_SECONDS", REQUEST_SECONDS),
    ("RESPONSE_SECONDS", RESPONSE_SECONDS),
    ("SOCKET_FRAMES_PER_SECOND", SOCKET_FRAMES_PER_SECOND),
    ("SLOW_SOCKET_SECONDS", SLOW_SOCKET_SECONDS),
):
    if _value < 1:
        raise ImproperlyConfigured(f"{_name} must be 1 or more, not {_value}.")

INSTALLED_APPS = [
    # What `runserver` serves with; all else would load Twisted for nothing, in 0.4 s.
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "corsheaders",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "exports",
    "livepoll",
    "polls",
    "realtime",
    "replay",
    "web",
]

MIDDLEWARE = [
    "livepoll.middleware.optional_trailing_slash",
    "livepoll.middleware.personal_responses",
    # Files first: the policies below say nothing of a file, at 100 bytes for each of thirty.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "web.csp.ContentSecurityPolicy",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "livepoll.middleware.Refusals",
]

ROOT_URLCONF = "livepoll.urls"
ASGI_APPLICATION = "asgi.application"
APPEND_SLASH = False

_context_processors = [
    "django.template.context_processors.request",
    "django.template.context_processors.i18n",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": _context_processors},
    },
]

if ADMIN:
    INSTALLED_APPS += [
        # Simple: without Django's own site, which lets accounts be edited and made staff.
        "django.contrib.admin.apps.SimpleAdminConfig",
        "django.contrib.messages",
        "django.contrib.sessions",
    ]
    MIDDLEWARE += [
        "livepoll.admin_cookies.secure_admin_cookies",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "livepoll.admin_csrf.AdminCsrf",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    _context_processors += [
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]
    MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    # Nothing but the admin has a session, so nothing but the admin gets its cookies.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "admin_session", "admin_csrf"
    SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = "/admin"
    SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
    CSRF_COOKIE_HTTPONLY = True
    SESSION_COOKIE_AGE = 8 * 60 * 60


# How long a thread keeps its connection; a new one finds a database that has moved.
CONNECTION_SECONDS = 300


def database(url: str) -> dict[str, Any]:
    """The one database: PostgreSQL by URL, else SQLite in DATA_DIR."""
    if not url:
        url = f"sqlite:///{DATA_DIR / 'livepoll.sqlite3'}"
    config: dict[str, Any] = environ.Env.db_url_config(url)
    # Requests run on lasting threads (livepoll/django_endpoint.py), which keep their connections.
    config["CONN_MAX_AGE"] = CONNECTION_SECONDS
    config["CONN_HEALTH_CHECKS"] = True
    if config["ENGINE"] == "django.db.backends.sqlite3":
        make_private_folder(DATA_DIR)
        make_private_sqlite(Path(config["NAME"]))
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            " PRAGMA wal_autocheckpoint=16000; PRAGMA cache_size=-16000;",
        }
    elif config["ENGINE"] == "django.db.backends.postgresql":
        # A database that vanished without a word must not hold votes for minutes.
        config["OPTIONS"] = {
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            **config.get("OPTIONS", {}),
        }
    else:
        raise ImproperlyConfigured("DATABASE_URL must be postgres://… or sqlite:///….")
    return config


DATABASES = {"default": database(DATABASE_URL)}
# Far longer than any transaction of ours rests between two statements.
IDLE_IN_TRANSACTION_SECONDS = 10
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS: dict[str, dict[str, Any]]
CACHES: dict[str, dict[str, Any]]
if REDIS_URL:
    # redis-py's own default socket_timeout would cut the layer's quiet, blocking reads.
    _redis_options = {"socket_connect_timeout": 2, "health_check_interval": 15}
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "realtime.redis_layer.RedisLayer",
            "CONFIG": {
                "hosts": [{"address": REDIS_URL, "socket_timeout": None, **_redis_options}],
                "prefix": "livepoll",
            },
        }
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "livepoll",
            "VERSION": 2,  # entries of version 1 are pickles; they run out unread
            "OPTIONS": {
                "serializer": "livepoll.json_cache.JSONSerializer",
                "socket_timeout": 0.25,
                "socket_connect_timeout": 0.25,
            },
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 10_000},
        }
    }

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")]

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
# Works from a checkout without collectstatic; `collectstatic` in the image hashes and compresses.
_is_collected = (STATIC_ROOT / "staticfiles.json").is_file()
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_ADD_HEADERS_FUNCTION = protect_files
WHITENOISE_USE_FINDERS = not _is_collected
if not _is_collected:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns of a missing folder
    MIDDLEWARE.insert(0, "web.storage.CompressStaticFiles")  # nothing was compressed before
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "web.storage.HashedStaticFilesStorage"
        if _is_collected
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Sent over https only. Subdomains are for their owner to decide on, who may have others.
SECURE_HSTS_SECONDS: int = env.int("HSTS_SECONDS", default=365 * 24 * 60 * 60)
SECURE_HSTS_INCLUDE_SUBDOMAINS: bool = env.switch("HSTS_SUBDOMAINS", default="off")
if SECURE_HSTS_SECONDS < 0:
    raise ImproperlyConfigured(f"HSTS_SECONDS must be 0 or more, not {SECURE_HSTS_SECONDS}.")
# Checks of Django that ask for less than what is there.
SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # CSRF middleware is the admin's; the API compares Origin, and has no sessions
    "security.W005",  # HSTS of subdomains: HSTS_SUBDOMAINS
    "security.W008",  # to redirect http to https is the proxy's, which has the certificate
    "security.W009",  # SECRET_KEY: livepoll.E001, which the start asks for too
    "security.W012",  # the admin's cookies are Secure by connection: livepoll/admin_cookies.py
    "security.W016",
    "security.W018",  # DEBUG: livepoll.E002
    "security.W019",  # a poll may be shown in frames; each page names in which
    "security.W021",  # HSTS preload is the domain's owner's
]

CORS_ALLOWED_ORIGINS = ALLOWED_ORIGINS
CORS_ALLOW_CREDENTIALS = True
CORS_URLS_REGEX = r"^/api/.*$"
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key", "if-none-match", "voter-code"]
CORS_EXPOSE_HEADERS = [
    "ETag", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After",
    "X-Request-ID",
]  # fmt: skip
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["polls.api.parsers.StrictJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_METADATA_CLASS": "polls.api.metadata.EndpointMetadata",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "polls.http.problems.problem_for_exception",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(hours=12),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
    "UPDATE_LAST_LOGIN": False,
}
AUTHENTICATION_BACKENDS = ["accounts.passwords.CountedPasswords"]
PASSWORD_HASHERS = ["accounts.hashing.PatientHasher", *global_settings.PASSWORD_HASHERS[1:]]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]

SPECTACULAR_SETTINGS = {
    "TITLE": "livepoll",
    "DESCRIPTION": "A real-time poll server with exact, live, provable tallies.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "polls.api.kind_schemas.add_kinds",
        "polls.api.links.add_links",
    ],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "voterToken": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Voter <token>`",
            },
            "voterCookie": {
                "type": "apiKey",
                "in": "cookie",
                "name": "voter",
                "description": "Under TLS `__Host-voter`.",
            },
            "ownerKey": {
                "type": "http",
                "scheme": "bearer",
                "description": "The poll's owner key, or its owner's account token.",
            },
        }
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "polls.http.request_ids.RequestIdFilter"}},
    "formatters": {
        "text": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
        "json": {"()": "livepoll.json_log.JSONFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        # Scanners would fill the log; the response says what is wrong.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
