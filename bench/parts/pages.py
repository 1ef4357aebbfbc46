"""What a crowd reads first: vote page, poll object, live page, start page, list; with and without
`If-None-Match`. Beside the same server's bare echo, nginx with the same bytes as files, and plain.
"""

from collections.abc import Mapping
from pathlib import Path

from bench.parts.reads import measure
from bench.peers import PeerMissing, nginx
from bench.stage import OPTIONS, Running, Stage

PART = "pages"
SOME_POLLS = 30
GZIP = "Accept-Encoding: gzip"


def run(stage: Stage) -> None:
    bodies: dict[str, bytes] = {}
    with stage.livepoll() as running:
        for _ in range(SOME_POLLS):
            poll_id = running.create_poll()
        code = running.api.get(f"/api/v1/polls/{poll_id}/").json()["code"]
        paths = {
            "vote page": f"/p/{code}/",
            "poll object": f"/api/v1/polls/{poll_id}/",
            "live page": f"/p/{code}/live/",
            "start page": "/",
            "list": "/api/v1/polls/",
        }
        for name, path in paths.items():
            with running.api.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as response:
                bodies[name] = b"".join(response.iter_raw())
                tag = response.headers["etag"]
            # As a browser whose voter is known, whose cookie is not set anew.
            _report(stage, name, running, path, GZIP, "Cookie: voter=x")
            if name in ("vote page", "poll object"):
                _report(stage, f"{name}, If-None-Match", running, path, GZIP,
                        "Cookie: voter=x", f"If-None-Match: {tag}")  # fmt: skip
        _report(stage, "vote page, first visit", running, paths["vote page"], GZIP)
    with stage.app("bench.echo:application", env={}) as running:
        _report(stage, "bare ASGI echo", running, "/")
    _run_nginx(stage, bodies)
    with stage.plain() as running:
        poll_id = str(running.api.post(
            "/api/v1/polls/", json={"question": "Which colour?", "options": OPTIONS}
        ).json()["id"])  # fmt: skip
        _report(stage, "plain, vote page", running, f"/p/{poll_id}/")
        _report(stage, "plain, poll object", running, f"/api/v1/polls/{poll_id}/")


def _run_nginx(stage: Stage, bodies: Mapping[str, bytes]) -> None:
    """The same bytes, as they came, as files."""
    folder = stage.folder / "nginx-pages"
    files = folder / "files"
    files.mkdir(parents=True)
    for number, body in enumerate(bodies.values()):
        (files / f"{number}").write_bytes(body)
    try:
        with nginx(folder, files=Path(files)) as (pid, port):
            for number, name in enumerate(bodies):
                if name in ("vote page", "poll object"):
                    measure(stage, PART, f"nginx, {name} as a file", [pid], [port],
                            f"/files/{number}", [])  # fmt: skip
    except PeerMissing as missing:
        stage.report.remark(str(missing))


def _report(stage: Stage, case: str, running: Running, path: str, *headers: str) -> None:
    measure(stage, PART, case, running.pids, running.ports, path, [*headers])
