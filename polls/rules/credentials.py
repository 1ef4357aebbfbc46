"""What a request presents to name a poll or to prove who sends it. Pure."""

from enum import StrEnum


class Credential(StrEnum):
    """Its value is its name in log lines and metrics."""

    JOIN_CODE = "join_code"
    VOTER_CODE = "voter_code"
    PASSWORD = "password"  # noqa: S105 (the name of the kind)
    ACCOUNT_NAME = "account_name"
    POLL_ID = "poll_id"
    OWNER_KEY = "owner_key"
    TOKEN = "token"  # noqa: S105

    @property
    def is_guessable(self) -> bool:
        """Whether guessing it can succeed: the others have 122 random bits or more."""
        return self in _GUESSABLE


_GUESSABLE = frozenset(
    (Credential.JOIN_CODE, Credential.VOTER_CODE, Credential.PASSWORD, Credential.ACCOUNT_NAME)
)
_ID_LENGTHS = (32, 36)


def credential_of_ref(ref: str) -> Credential:
    """A poll's name in a path: a join code, mistyped ones too, or an id."""
    return Credential.POLL_ID if len(ref) in _ID_LENGTHS else Credential.JOIN_CODE
