"""An HTTP client in this process: each Person is one client with cookies of its own."""

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

HOST = "http://localhost"
PROBLEM = "application/problem+json"
Json = dict[str, Any]


async def _end_tasks() -> None:
    """As `asyncio.run` does: what still runs is cancelled, and given the turns to clean up."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


class Site:
    """`asgi.application` on an event loop in a thread of its own, as a server runs it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asgi-application")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        from livepoll.lifespan import stop, stop_threads

        self.run(stop())
        stop_threads()
        self.run(_end_tasks())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Any) -> Any:
        """The result of `coroutine`, run on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def person(self, application: Any = None, *, address: str = "198.51.100.7") -> "Person":
        """A new person, before the whole application or another one."""
        return Person(self, application, address)


class Person:
    """Sends requests, keeps cookies, and the owner keys of the polls it made.

    `get`, `post`, `patch`, `delete` take a path and a JSON body; `request` takes
    the same arguments as httpx's.
    """

    def __init__(self, site: Site, application: Any = None, address: str = "198.51.100.7") -> None:
        self._site = site
        self._application = application
        self._address = address
        self.cookies = httpx.Cookies()
        self._owner_keys: dict[str, str] = {}

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        response: httpx.Response = self._site.run(self._request(method, path, options))
        if response.status_code >= 400 and path.startswith("/api/") and method != "HEAD":
            check_problem(response)
        return response

    async def _request(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        from asgi import application

        transport = httpx.ASGITransport(
            self._application or application, client=(self._address, 4711)
        )
        async with httpx.AsyncClient(
            transport=transport, base_url=HOST, cookies=self.cookies
        ) as client:
            response = await client.request(method, path, **options)
            self.cookies = client.cookies
            return response

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.request("POST", path, json=body, headers=headers)

    def patch(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.request("PATCH", path, json=body, headers=headers)

    def delete(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("DELETE", path, headers=headers)

    def make_poll(self, *options: str, **fields: Any) -> Json:
        """A new poll, "Red or green?" unless told otherwise, as the API shows it."""
        body = {"question": "Red or green?", "options": list(options) or ["Red", "Green"]}
        response = self.post("/api/v1/polls/", body | fields)
        assert response.status_code == 201, response.text
        poll: Json = response.json()
        self._owner_keys[poll["id"]] = poll.pop("owner_key")
        return poll

    def key_of(self, poll: Json) -> dict[str, str]:
        """The header that proves ownership of `poll`."""
        return {"Authorization": f"Bearer {self._owner_keys[poll['id']]}"}

    def act(self, poll: Json, name: str) -> httpx.Response:
        """`open`, `pause`, `close` or `reset` the poll, as its owner."""
        return self.post(f"/api/v1/polls/{poll['id']}/{name}/", headers=self.key_of(poll))

    def vote(self, poll: Json, *choices: int, **headers: str) -> httpx.Response:
        """Vote for these options; underscores in header names become dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(f"/api/v1/polls/{poll['id']}/votes/", {"choices": choices}, named)

    def results(self, poll: Json) -> Json:
        response = self.get(f"/api/v1/polls/{poll['id']}/results/")
        assert response.status_code == 200, response.text
        results: Json = response.json()
        return results


def check_problem(response: httpx.Response) -> None:
    """Hold a refusal to the one shape of all refusals."""
    assert response.headers["content-type"] == PROBLEM, response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    assert body["type"].endswith(f"#{body['code']}")
    for error in body.get("errors", []):
        assert set(error) == {"field", "code", "detail"}


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return response.status_code, response.json()["code"]


def field_errors(response: httpx.Response) -> list[tuple[str, str]]:
    """Field and code of each validation error."""
    assert refusal(response) == (400, "invalid"), response.text
    return [(error["field"], error["code"]) for error in response.json()["errors"]]
