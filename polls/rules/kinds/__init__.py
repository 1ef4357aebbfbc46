"""The kinds of poll, by name. A kind is one module here: docs/adding-a-kind.md."""

from polls.rules.kinds.kind import BALLOT_FIELDS, RESULT_FIELDS, Kind
from polls.rules.kinds.multiple import Multiple
from polls.rules.kinds.ranked import Ranked
from polls.rules.kinds.rating import Rating
from polls.rules.kinds.single import Single

NAME_CHARACTERS = 8  # as long as the column that keeps it

KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Let polls be of this kind. At import, before any poll is read.

    Raises:
        ValueError: the name is not 1 to 8 small letters, or another kind's; or a property of its
            ballots or results is taken, or has another schema with another kind.
    """
    name = kind.name
    is_word = name.isascii() and name.isalpha() and name.islower()
    if not is_word or len(name) > NAME_CHARACTERS or name in KINDS:
        raise ValueError(f"no kind can be named {name!r}")
    for of, fields in (("ballot_schema", BALLOT_FIELDS), ("results_schema", RESULT_FIELDS)):
        for field, schema in getattr(kind, of).items():
            if field in fields:
                raise ValueError(f"{name}: {field!r} in {of} is there for all kinds")
            for other in KINDS.values():
                if getattr(other, of).get(field, schema) != schema:
                    raise ValueError(f"{name}: {field!r} means something else to {other.name}")
    KINDS[name] = kind


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
