"""Multiple choice: any number of options, whose order means nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from polls.rules.kinds.choices import ChoicesKind

if TYPE_CHECKING:
    from polls.rules.poll import PollState


class Multiple(ChoicesKind):
    name: ClassVar[str] = "multiple"

    def read(self, state: PollState, body: Mapping[str, Any]) -> list[int]:
        """The choices, ascending: the same choices are the same vote."""
        return sorted(super().read(state, body))
