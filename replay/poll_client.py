"""The poll that ballots are cast into: made or looked up over REST, and its result read."""

from dataclasses import dataclass
from typing import Any, Self

import httpx

from replay.ballots import KINDS
from replay.caster import problem_code
from replay.preflib import PrefLibFile

REQUEST_TIMEOUT_SECONDS = 10.0
QUESTION_LENGTH = 300
DESCRIPTION_LENGTH = 2000
VOTER_POLICIES = ("device", "open")  # those that take an Idempotency-Key for a voter


class PollUnusable(Exception):
    """No such poll, no such server, or one that cannot take these ballots."""


@dataclass(frozen=True, slots=True)
class Poll:
    """A poll as the API shows it, with the option id of each of the file's alternatives."""

    shown: dict[str, Any]
    option_ids: dict[int, int]

    @property
    def id(self) -> str:
        return str(self.shown["id"])

    @property
    def code(self) -> str:
        return str(self.shown["code"])

    @property
    def kind(self) -> str:
        return str(self.shown["kind"])


class PollClient:
    """The few calls of a replay that are not votes. Raises PollUnusable with a text for the user.

    A context manager; leaving it closes the connection.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        # No proxy from the environment, as the votes take none.
        self._http = httpx.Client(timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._http.close()

    def votes_url(self, poll: Poll) -> str:
        return f"{self._base_url}/api/v1/polls/{poll.id}/votes/"

    def create(self, file: PrefLibFile, *, kind: str) -> Poll:
        """A poll with the file's alternatives as options, in order."""
        wanted = {
            "question": (file.title or "Replayed ballots")[:QUESTION_LENGTH],
            "description": file.metadata.get("SOURCE", "")[:DESCRIPTION_LENGTH],
            "kind": kind,
            "options": list(file.alternatives),
        }
        return self._usable(self._ask("POST", "", wanted), file)

    def find(self, id_or_code: str, file: PrefLibFile) -> Poll:
        """An existing poll, whose options must bear the names of the file's alternatives."""
        return self._usable(self._ask("GET", f"{id_or_code}/"), file)

    def results(self, poll: Poll) -> dict[str, Any] | None:
        """The tally as the server shows it now; None where it is hidden or out of reach."""
        try:
            return self._ask("GET", f"{poll.id}/results/")
        except PollUnusable:
            return None

    def _usable(self, shown: dict[str, Any], file: PrefLibFile) -> Poll:
        if shown["kind"] not in KINDS:
            raise PollUnusable(f"It is a {shown['kind']} poll; ballots fit {' or '.join(KINDS)}.")
        if shown["voter_policy"] not in VOTER_POLICIES:
            raise PollUnusable(
                f"Its voters are told apart by {shown['voter_policy']}; each ballot can be a "
                f"voter of its own where voter_policy is {' or '.join(VOTER_POLICIES)}."
            )
        by_text = {option["text"]: option["id"] for option in shown["options"]}
        missing = [name for name in file.alternatives if name not in by_text]
        if missing:
            raise PollUnusable(f"It has no option named {', '.join(map(repr, missing))}.")
        option_ids = {index: by_text[name] for index, name in enumerate(file.alternatives, 1)}
        return Poll(shown, option_ids)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = f"{self._base_url}/api/v1/polls/{path}"
        try:
            response = self._http.request(method, url, json=body)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise PollUnusable(f"No answer from {url}: {error}") from error
        if not response.is_success:
            raise PollUnusable(f"{url} answered {response.status_code} {problem_code(response)}.")
        answer = response.json()
        if not isinstance(answer, dict):
            raise PollUnusable(f"{url} did not answer as livepoll does.")
        return answer
