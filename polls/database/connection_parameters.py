"""Django's parameters of its PostgreSQL connections, as asyncpg takes them."""

import socket
from typing import Any
from urllib.parse import urlencode

import asyncpg
from django.db import connection

# libpq's names in Django's OPTIONS that are set in another way or may be left out. Others that
# asyncpg does not know (`require_auth`) ask for more than it can do: there it cannot connect.
_OF_LIBPQ_ALONE = {
    "assume_role", "client_encoding", "connect_timeout", "fallback_application_name",
    "gssdelegation", "gssencmode", "load_balance_hosts", "sslcompression", "sslsni",
    "tcp_user_timeout",
}  # fmt: skip


def dsn() -> str:
    """Django's connection parameters as asyncpg reads them."""
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if isinstance(value, str | int)
        and name not in _OF_LIBPQ_ALONE
        and (name, value) != ("channel_binding", "prefer")
        and not name.startswith("keepalives")
    }
    return f"postgresql://?{urlencode(parameters)}"


def bound_silence(opened: "asyncpg.Connection[Any]") -> None:
    """Give up a peer that vanished without a word, after the same times as Django's connections."""
    found: socket.socket = opened._transport.get_extra_info("socket")
    if found.family == socket.AF_UNIX:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = connection.get_connection_params()
    for option, name in (
        ("TCP_KEEPIDLE", "keepalives_idle"),
        ("TCP_KEEPINTVL", "keepalives_interval"),
        ("TCP_KEEPCNT", "keepalives_count"),
        ("TCP_USER_TIMEOUT", "tcp_user_timeout"),
    ):
        if hasattr(socket, option) and name in options:
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), int(options[name]))
