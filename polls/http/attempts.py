"""What a request presents that may be a guess: asked before it is looked up, counted if it missed.

Endpoints, views and sockets use `current_attempts`. `livepoll.attempts` counts; without it, as in
commands, nothing is counted and nothing refused.
"""

from contextvars import ContextVar

from polls.errors import PollError
from polls.rules.credentials import Credential


class Attempts:
    """The attempts of one request or socket; this one counts none.

    A credential that cannot be guessed (`Credential.is_guessable`) needs no `check`: it is looked
    up, and a right one passes however much was missed before.
    """

    async def check(self, credential: Credential, *, poll: str = "", account: str = "") -> None:
        """To be awaited before a guessable credential is looked up.

        Args:
            poll: the poll it is for, as the request names it.
            account: the account it is for, by the name that was typed.
        Raises:
            RateLimited: its sender has missed too often.
        """

    async def count(self, error: PollError, *, poll: str = "", account: str = "") -> PollError:
        """Count the miss that a refusal stands for, if it does (`error.missed`).

        Returns:
            The refusal itself, or RateLimited where that was one miss too many.
        """
        return error

    def end(self) -> None:
        """All that was checked is decided: the request is over, the frame read. On the loop."""

    def found(self, poll: str) -> None:
        """There is a poll of this name: to name it again is no attempt. From any thread."""

    def signed_in(self) -> None:
        """A password was right. From any thread."""

    def is_guessing(self) -> bool:
        """Whether passwords come from this address without end, few of them right. From any
        thread."""
        return False

    def check_now(self, credential: Credential, *, poll: str = "", account: str = "") -> None:
        """`check`, from a thread."""

    def count_now(self, error: PollError, *, poll: str = "", account: str = "") -> PollError:
        """`count`, from a thread."""
        return error


current_attempts: ContextVar[Attempts] = ContextVar("current_attempts", default=Attempts())  # noqa: B039 (it has no state)
