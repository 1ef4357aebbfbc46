"""Reads PrefLib's ordinal ballots: `.soi`, `.soc`, `.toi` and `.toc` files. Imports no Django.

A file is a header of `# KEY: VALUE` lines and then one line for each distinct order,
`count: 5,{1,6},2`: how many ballots, and the alternatives from best to worst, those
in braces tied. Numbers in the header are checked against what follows, so a file cut
short is refused and never half read. Format: https://preflib.github.io/PrefLib-Jekyll/format
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DATA_TYPES = ("soc", "soi", "toc", "toi")  # strict or tied orders, complete or incomplete

_ALTERNATIVE_NAME = re.compile(r"ALTERNATIVE NAME ([0-9]{1,9})")
_TIED_OR_SINGLE = re.compile(r"\{([0-9,\s]+)\}|([0-9]+)")
_SEPARATOR = re.compile(r"\s*(,\s*|$)")
_NUMBER = re.compile(r"[0-9]{1,9}")

Ranking = tuple[tuple[int, ...], ...]


class PrefLibError(ValueError):
    """The file is not what PrefLib's format allows; `line` is 1-based, None for the whole file."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Order:
    """One distinct order and how many ballots gave it; groups from best to worst, ties together."""

    count: int
    ranking: Ranking

    def first_preference(self) -> int | None:
        """The one alternative put first, or None where the first place is a tie."""
        return self.ranking[0][0] if len(self.ranking[0]) == 1 else None

    def strict_prefix(self) -> tuple[int, ...]:
        """The alternatives before the first tie; empty where the first place is a tie."""
        strict: list[int] = []
        for group in self.ranking:
            if len(group) > 1:
                break
            strict.append(group[0])
        return tuple(strict)


@dataclass(frozen=True, slots=True)
class PrefLibFile:
    """A parsed file. Alternatives are numbered from 1 in the order of `alternatives`."""

    metadata: dict[str, str]
    alternatives: tuple[str, ...]
    orders: tuple[Order, ...]
    digest: str  # SHA-256 of the bytes, hex: the same file is the same ballots

    @property
    def title(self) -> str:
        return self.metadata.get("TITLE", "")

    @property
    def voters(self) -> int:
        return sum(order.count for order in self.orders)

    def ballots(self) -> Iterator[Order]:
        """Each ballot on its own, in the order of the file: an order of count 3 comes thrice."""
        for order in self.orders:
            for _ in range(order.count):
                yield order


def read_preflib(path: Path) -> PrefLibFile:
    """Parse the file at `path`.

    Raises:
        OSError: it cannot be read.
        PrefLibError: it is not UTF-8 text in PrefLib's format, or contradicts its header.
    """
    return parse_preflib(path.read_bytes())


def parse_preflib(content: bytes) -> PrefLibFile:
    """Parse a file's bytes; see `read_preflib` for what is raised."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise PrefLibError("not UTF-8 text", number) from error

    metadata: dict[str, str] = {}
    names: dict[int, str] = {}
    rows: list[tuple[int, Order]] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            if rows:
                raise PrefLibError("a header line after the first ballot", number)
            _read_header_line(line, number, metadata, names)
        else:
            rows.append((number, _parse_order(line, number)))

    alternatives = _numbered_names(names, metadata)
    kind = _data_type(metadata)
    for number, order in rows:
        _check_order(order, number, len(alternatives), kind)
    orders = tuple(order for _, order in rows)
    if not orders:
        raise PrefLibError("no ballots")
    _check_count(metadata, "NUMBER UNIQUE ORDERS", len(orders))
    _check_count(metadata, "NUMBER VOTERS", sum(order.count for order in orders))
    return PrefLibFile(metadata, alternatives, orders, hashlib.sha256(content).hexdigest())


def _read_header_line(
    line: str, number: int, metadata: dict[str, str], names: dict[int, str]
) -> None:
    key, colon, value = line.lstrip("#").partition(":")
    if not colon:
        return  # a remark
    key, value = key.strip(), value.strip()
    alternative = _ALTERNATIVE_NAME.fullmatch(key)
    if alternative is None:
        metadata[key] = value
        return
    index = int(alternative[1])
    if index in names:
        raise PrefLibError(f"alternative {index} is named twice", number)
    if not value:
        raise PrefLibError(f"alternative {index} has an empty name", number)
    names[index] = value


def _parse_order(line: str, number: int) -> Order:
    count, colon, ranking = line.partition(":")
    if not colon or _NUMBER.fullmatch(count.strip()) is None:
        raise PrefLibError("expected 'count: order', like '12: 3,1,{2,4}'", number)
    if int(count) < 1:
        raise PrefLibError("an order must have been given at least once", number)
    return Order(int(count), _parse_ranking(ranking.strip(), number))


def _parse_ranking(text: str, number: int) -> Ranking:
    groups: list[tuple[int, ...]] = []
    at = 0
    while True:
        found = _TIED_OR_SINGLE.match(text, at)
        if found is None:
            raise PrefLibError(
                f"expected an alternative or {{…}} at {text[at : at + 20]!r}", number
            )
        groups.append(_parse_group(found, number))
        at = found.end()
        separator = _SEPARATOR.match(text, at)
        if separator is None:
            raise PrefLibError(f"expected a comma at {text[at : at + 20]!r}", number)
        at = separator.end()
        if not separator[1]:
            return tuple(groups)


def _parse_group(found: re.Match[str], number: int) -> tuple[int, ...]:
    numbers = [part.strip() for part in (found[1] or found[2]).split(",")]
    if not all(_NUMBER.fullmatch(part) for part in numbers):
        raise PrefLibError(f"expected numbers and commas in {found[0]!r}", number)
    return tuple(int(part) for part in numbers)


def _numbered_names(names: dict[int, str], metadata: dict[str, str]) -> tuple[str, ...]:
    if not names:
        raise PrefLibError("no '# ALTERNATIVE NAME n: …' in the header")
    if sorted(names) != list(range(1, len(names) + 1)):
        raise PrefLibError("the alternatives are not numbered 1, 2, 3, …")
    _check_count(metadata, "NUMBER ALTERNATIVES", len(names))
    return tuple(names[index] for index in sorted(names))


def _data_type(metadata: dict[str, str]) -> str:
    kind = metadata.get("DATA TYPE", "toi").lower()  # the type that allows all the others
    if kind not in DATA_TYPES:
        raise PrefLibError(f"DATA TYPE is {kind!r}; readable are {', '.join(DATA_TYPES)}")
    return kind


def _check_order(order: Order, number: int, alternatives: int, kind: str) -> None:
    ranked = [index for group in order.ranking for index in group]
    for index in ranked:
        if not 1 <= index <= alternatives:
            raise PrefLibError(f"no alternative {index}", number)
    if len(set(ranked)) < len(ranked):
        raise PrefLibError("an alternative is ranked twice", number)
    if kind in ("soc", "soi") and len(ranked) > len(order.ranking):
        raise PrefLibError(f"a tie in a file of type {kind}", number)
    if kind in ("soc", "toc") and len(ranked) < alternatives:
        raise PrefLibError(f"an incomplete order in a file of type {kind}", number)


def _check_count(metadata: dict[str, str], key: str, found: int) -> None:
    stated = metadata.get(key)
    if stated is not None and stated != str(found):
        raise PrefLibError(f"{key} says {stated}, but the file has {found}")
