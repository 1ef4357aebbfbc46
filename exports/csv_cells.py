"""CSV that a spreadsheet opens without running anything that a stranger wrote.

A cell that starts like a formula gets an apostrophe in front, and so does what would be a cell
where the spreadsheet splits at another separator than the comma: Excel does at `;` in half of
Europe, and then takes our quotes for text.
https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import re
from collections.abc import Iterable, Iterator

# = + - @, their full-width and small forms, which some spreadsheets read alike, and the minus sign.
_FORMULA = re.compile(
    r"""(?P<start>^|[;|\t\r\n])(?=[\s\0"]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212])"""
)
_DROPPED_STARTS = ("\t", "\r", "\n", "\0")


class _Line:
    """A file for csv.writer that hands each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Rows as CSV lines."""
    writer = csv.writer(_Line())
    for row in rows:
        yield writer.writerow([safe_cell(cell) for cell in row])


def safe_cell(cell: object) -> object:
    """The cell, in which no part that may become a cell begins like a formula."""
    if not isinstance(cell, str):
        return cell
    safe = _FORMULA.sub(r"\g<start>'", cell)
    return f"'{safe}" if safe.startswith(_DROPPED_STARTS) else safe
