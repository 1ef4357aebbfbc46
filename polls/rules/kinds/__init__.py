"""The kinds of poll, by name. A kind is one module here: docs/adding-a-kind.md."""

from polls.rules.kinds.kind import Kind
from polls.rules.kinds.multiple import Multiple
from polls.rules.kinds.ranked import Ranked
from polls.rules.kinds.rating import Rating
from polls.rules.kinds.single import Single

NAME_CHARACTERS = 8  # as long as the column that keeps it

KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Let polls be of this kind. At import, before any poll is read.

    Raises:
        ValueError: the name is too long, or another kind's.
    """
    if len(kind.name) > NAME_CHARACTERS or kind.name in KINDS:
        raise ValueError(f"no kind can be named {kind.name!r}")
    KINDS[kind.name] = kind


def kind_of(name: str) -> Kind:
    """The kind of this name.

    Raises:
        KeyError: there is none.
    """
    return KINDS[name]


register(Single())
register(Multiple())
register(Ranked())
register(Rating())

DEFAULT_KIND = Single.name
