"""The proxy's promises, read from its template, and from nginx itself where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.nginx_config import TEMPLATE, local_config, site_config
from livepoll.management.commands import serve
from polls.rules.limits import LIMITS

SITE = site_config(listen="8000", servers=["server 127.0.0.1:8001;", "server 127.0.0.1:8002;"])


def seconds(directive: str) -> list[int]:
    return [int(value) for value in re.findall(rf"\b{directive} (\d+)s;", SITE)]


def test_the_template_is_filled_and_nginx_variables_are_left_alone() -> None:
    assert "${" not in SITE
    assert "listen 8000;" in SITE
    assert "server 127.0.0.1:8001;\n    server 127.0.0.1:8002;" in SITE
    assert "$http_host" in SITE
    assert set(re.findall(r"\$\{(\w+)\}", TEMPLATE.read_text())) == {"LISTEN", "UPSTREAM"}


def test_sockets_are_upgraded_and_outlive_the_pings() -> None:
    assert "proxy_set_header Upgrade $upgrade;" in SITE
    assert "proxy_set_header Connection $connection_upgrade;" in SITE
    silence = serve.WS_PING_INTERVAL_SECONDS + serve.WS_PING_TIMEOUT_SECONDS
    assert max(seconds("proxy_read_timeout")) > silence
    assert max(seconds("proxy_send_timeout")) > silence


def test_what_a_client_says_of_its_address_is_overwritten() -> None:
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in SITE
    assert "$proxy_add_x_forwarded_for" not in SITE
    assert "proxy_set_header X-Forwarded-Proto $scheme;" in SITE


def test_the_server_keeps_idle_connections_longer_than_nginx() -> None:
    nginx_upstream_keepalive_seconds = 60  # nginx's default keepalive_timeout of an upstream
    assert "keepalive 512;" in SITE
    assert nginx_upstream_keepalive_seconds < serve.KEEP_ALIVE_SECONDS


def test_nothing_is_said_twice_and_errors_have_the_one_shape() -> None:
    assert SITE.count("{") == SITE.count("}")
    problems = re.findall(r"return (\d+) '\{.*\"status\":(\d+),.*\"code\":\"(\w+)\"\}'", SITE)
    assert problems == [
        ("404", "404", "not_found"),
        ("413", "413", "too_large"),
        ("408", "408", "request_timeout"),
        ("414", "414", "uri_too_long"),
        ("431", "431", "headers_too_large"),
        ("503", "503", "overloaded"),
    ]


def test_an_address_that_is_too_long_is_no_failure() -> None:
    """nginx answers 500 from a named location while there is no address."""
    assert "error_page 414 /.uri-too-long;" in SITE
    assert "location = /.uri-too-long {" in SITE


def test_its_bounds_are_those_of_the_server(settings: Any) -> None:
    assert f"large_client_header_buffers 4 {LIMITS['request_line_bytes'] // 1024}k;" in SITE
    assert LIMITS["request_header_bytes"] == 4 * LIMITS["request_line_bytes"]
    assert seconds("client_header_timeout") == [settings.REQUEST_SECONDS]
    assert seconds("client_body_timeout") == [settings.REQUEST_SECONDS]
    assert seconds("send_timeout") == [settings.RESPONSE_SECONDS]
    assert f"limit_conn livepoll_address {settings.MAX_CONNECTIONS_PER_ADDRESS};" in SITE


def test_metrics_are_not_published() -> None:
    [metrics] = re.findall(r"location \^~ /metrics \{(.*?)\}", SITE, re.DOTALL)
    assert metrics.split() == ["return", "404;"]


# Collected only where nginx is: everything above holds without it.
if shutil.which("nginx"):

    @pytest.mark.parametrize("upstream_ports", [[8001], [8001, 8002]])
    def test_nginx_accepts_its_configuration(upstream_ports: list[int], tmp_path: Path) -> None:
        config = local_config(folder=tmp_path, port=8000, upstream_ports=upstream_ports)
        tmp_path.joinpath("nginx.conf").write_text(config)
        done = subprocess.run(
            ["nginx", "-t", "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr
