"""Single choice: one option of several."""

from typing import ClassVar

from polls.rules.kinds.choices import ChoicesKind


class Single(ChoicesKind):
    name: ClassVar[str] = "single"

    def most_choices(self, options: int) -> int:
        return 1
