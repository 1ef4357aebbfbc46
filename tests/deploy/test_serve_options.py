"""What `manage.py serve` asks of Uvicorn for safety's sake."""

from livepoll.management.commands.serve import WS_MAX_FRAME_BYTES, uvicorn_config


def test_sockets_are_not_compressed_and_bounded() -> None:
    config = uvicorn_config()
    assert config.ws_per_message_deflate is False
    assert config.ws_max_size == WS_MAX_FRAME_BYTES <= 64 * 1024


def test_the_server_names_neither_itself_nor_trusts_a_client_about_its_address() -> None:
    config = uvicorn_config()
    assert config.server_header is False
    assert config.proxy_headers is False
    assert config.access_log is False
