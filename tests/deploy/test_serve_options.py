"""What `manage.py serve` asks of Uvicorn for safety's sake."""

import pytest
from pytest_django.fixtures import Settings

from livepoll.management.commands.serve import (
    PROBE_HOSTS,
    WS_MAX_FRAME_BYTES,
    uvicorn_config,
    welcome,
)


def test_sockets_are_not_compressed_and_bounded() -> None:
    config = uvicorn_config()
    assert config.ws_per_message_deflate is False
    assert config.ws_max_size == WS_MAX_FRAME_BYTES <= 64 * 1024


def test_the_server_names_neither_itself_nor_trusts_a_client_about_its_address() -> None:
    config = uvicorn_config()
    assert config.server_header is False
    assert config.proxy_headers is False
    assert config.access_log is False


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80/"), ("::1", "http://[::1]:80/"),
     *((host, "http://localhost:80/") for host in PROBE_HOSTS)],
)  # fmt: skip
def test_the_welcome_has_addresses_that_a_browser_takes(
    settings: Settings, host: str, url: str
) -> None:
    settings.ALLOWED_HOSTS = settings.OWN_HOSTS
    first, *_ = welcome(host, 80, "K7RM2Q").splitlines()
    assert first == f"livepoll runs on {url} (stop it with Ctrl-C)"


@pytest.mark.parametrize("host", PROBE_HOSTS)
def test_who_serves_a_network_without_allowed_hosts_reads_that_it_is_refused(
    settings: Settings, host: str
) -> None:
    settings.ALLOWED_HOSTS = settings.OWN_HOSTS
    assert "ALLOWED_HOSTS" in welcome(host, 80, None)
    assert "ALLOWED_HOSTS" not in welcome("127.0.0.1", 80, None)
    settings.ALLOWED_HOSTS = ["poll.example.com", *settings.OWN_HOSTS]
    assert "ALLOWED_HOSTS" not in welcome(host, 80, None)
