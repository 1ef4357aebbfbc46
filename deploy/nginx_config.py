"""nginx.conf for the local cluster, around the same template that the container uses."""

import string
from collections.abc import Iterable
from pathlib import Path

TEMPLATE = Path(__file__).parent / "nginx" / "livepoll.conf.template"
TEMPORARY_KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def site_config(*, listen: str, servers: Iterable[str]) -> str:
    """The filled template, for nginx's http block; `servers` are directives of an upstream."""
    return string.Template(TEMPLATE.read_text()).safe_substitute(
        LISTEN=listen, UPSTREAM="\n    ".join(servers)
    )


def local_config(*, folder: Path, port: int, upstream_ports: Iterable[int]) -> str:
    """A whole nginx.conf for a process in the foreground that keeps its files in `folder`."""
    servers = [f"server 127.0.0.1:{own} max_fails=1 fail_timeout=1s;" for own in upstream_ports]
    temporary = "\n    ".join(f'{kind}_temp_path "{folder / kind}";' for kind in TEMPORARY_KINDS)
    return f"""\
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid "{folder / "nginx.pid"}";
error_log stderr warn;

events {{
    worker_connections 16384;
}}

http {{
    access_log off;
    keepalive_timeout 65s;
    {temporary}
{site_config(listen=f"127.0.0.1:{port}", servers=servers)}
}}
"""
