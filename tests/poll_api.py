"""The REST API as a client's code would wrap it; for tests in process and over the network."""

from typing import Any

import httpx

Json = dict[str, Any]


class PollApi:
    """Makes polls, votes and acts as owner. Raises httpx.HTTPStatusError when refused.

    Args:
        http: with the server's address as `base_url`; it must keep no cookies.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def create(self, **fields: Any) -> Json:
        """A new poll with its owner key; red, green and blue where nothing else is said."""
        body = {"question": "Which colour?", "options": ["Red", "Green", "Blue"]} | fields
        return self._object(await self.http.post("/api/v1/polls/", json=body))

    async def send_vote(self, poll: Json, choice: int | Json, *, voter: str) -> httpx.Response:
        """One vote as it is answered, for an option or by a whole ballot; `voter` may be any word,
        the same word is the same voter."""
        return await self.http.post(
            f"/api/v1/polls/{poll['id']}/votes/",
            json={"choices": [choice]} if isinstance(choice, int) else choice,
            headers={"Idempotency-Key": voter},
        )

    async def vote(self, poll: Json, choice: int | Json, *, voter: str) -> Json:
        """An acknowledged vote: `vote`, `voter_token`, `results`."""
        return self._object(await self.send_vote(poll, choice, voter=voter))

    async def results(self, poll: Json, *, authorization: str = "") -> Json:
        headers = {"Authorization": authorization} if authorization else {}
        path = f"/api/v1/polls/{poll['id']}/results/"
        return self._object(await self.http.get(path, headers=headers))

    async def act(self, poll: Json, act: str) -> Json:
        """`open`, `pause`, `close` or `reset` by the owner."""
        path = f"/api/v1/polls/{poll['id']}/{act}/"
        return self._object(await self.http.post(path, headers=owner_headers(poll)))

    async def change(self, poll: Json, **fields: Any) -> Json:
        path = f"/api/v1/polls/{poll['id']}/"
        return self._object(await self.http.patch(path, json=fields, headers=owner_headers(poll)))

    async def delete(self, poll: Json) -> None:
        path = f"/api/v1/polls/{poll['id']}/"
        (await self.http.delete(path, headers=owner_headers(poll))).raise_for_status()

    def _object(self, response: httpx.Response) -> Json:
        response.raise_for_status()
        body = response.json()
        assert isinstance(body, dict)
        return body


def owner_headers(poll: Json) -> dict[str, str]:
    return {"Authorization": f"Bearer {poll['owner_key']}"}
