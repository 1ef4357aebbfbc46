"""How a client names a poll: its UUID, or its six-character join code in any case."""

from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from django.db.models import Q

from polls.models import JOIN_CODE_ALPHABET, JOIN_CODE_LENGTH

PollRef = UUID | str
_LONGEST = 36  # characters


def parse_ref(text: str) -> PollRef | None:
    """A UUID, an upper-case join code, or None for what can be neither."""
    return _parse(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=10_000)
def _parse(text: str) -> PollRef | None:
    if len(text) == JOIN_CODE_LENGTH:
        code = text.upper()
        return code if all(letter in JOIN_CODE_ALPHABET for letter in code) else None
    try:
        found = UUID(text)
    except ValueError:
        return None
    # One poll has few names: what is guessed at it is counted by them.
    return found if text.lower() in (found.hex, str(found)) else None


def ids_and_codes(refs: Iterable[PollRef]) -> tuple[list[UUID], list[str]]:
    """These references by what they are."""
    ids: list[UUID] = []
    codes: list[str] = []
    for ref in refs:
        if isinstance(ref, str):
            codes.append(ref)
        else:
            ids.append(ref)
    return ids, codes


def polls_named(refs: Iterable[PollRef]) -> Q:
    """The filter for all polls that `refs` name."""
    ids, codes = ids_and_codes(refs)
    if not codes:
        return Q(id__in=ids)
    return Q(id__in=ids) | Q(code__in=codes) if ids else Q(code__in=codes)
