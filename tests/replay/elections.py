"""Elections that were held, by the first preferences on their ballots."""

from dataclasses import dataclass
from pathlib import Path

from tests.sizes import sized

ROOT = Path(__file__).resolve().parents[2]
BURLINGTON = ROOT / "replay" / "data" / "burlington-2009-mayor.toi"
DEBIAN = ROOT / "tests" / "data" / "debian-2010-leader.soi"


@dataclass(frozen=True)
class Election:
    """A file of ballots and what comes of it where each counts for its first preference."""

    file: Path
    title: str
    first_preferences: dict[str, int]
    without_one: int

    @property
    def votes(self) -> int:
        return sum(self.first_preferences.values())


MAYOR = Election(
    BURLINGTON,
    "2009 Burlington Mayoral Election",
    {
        "Kurt Wright": 2951,
        "Bob Kiss": 2585,
        "Andy Montroll": 2063,
        "Dan Smith": 1306,
        "Write-In": 36,
        "James Simpson": 35,
    },
    without_one=4,
)
LEADER = Election(
    DEBIAN,
    "Debian 2010 Leader",
    {
        "Stefano Zacchiroli": 259,
        "Margarita Manterola": 97,
        "Wouter Verhelst": 63,
        "Charles Plessy": 12,
        "None Of The Above": 5,
    },
    without_one=0,
)
REPLAYED = sized(short=LEADER, long=MAYOR)
