from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created


class LivepollConfig(AppConfig):
    name = "livepoll"

    def ready(self) -> None:
        from livepoll import checks  # noqa: F401 (registers them)

        connection_created.connect(bound_idle_transactions)


def bound_idle_transactions(connection: Any, **_: Any) -> None:
    """Let PostgreSQL end a transaction whose process hangs, or whose machine is gone.

    Else it would keep a poll's lock, and with it every vote of that poll, until TCP gives up:
    by default after two hours.
    """
    if connection.vendor == "postgresql":
        seconds = settings.IDLE_IN_TRANSACTION_SECONDS
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{seconds}s'")
