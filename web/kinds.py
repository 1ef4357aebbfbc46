"""The kinds of poll that the pages offer: for each one ES module and one template part."""

from pathlib import Path
from typing import NamedTuple

from polls.rules import kinds


class Kind(NamedTuple):
    """One kind: the create page's part is `template`, everything else is in `module`."""

    name: str

    @property
    def module(self) -> str:
        """Speaks the protocol that is documented in kinds/protocol.js."""
        return f"kinds/{self.name}"

    @property
    def template(self) -> str:
        """Included with part="tile", with part="fields" for the fields that it adds, with
        part="ballot" for the ballot as HTML, with part="bar" for what it adds to a bar and with
        part="steps" for what stands above the bars."""
        return f"web/kinds/{self.name}.html"


_TEMPLATES = Path(__file__).parent / "templates"
# Those that are registered and have their part; one without lives over REST and sockets alone,
# and its polls have no pages.
KINDS = {name: Kind(name) for name in kinds.KINDS if (_TEMPLATES / Kind(name).template).is_file()}
