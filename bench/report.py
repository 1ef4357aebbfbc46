"""What was measured: rows with every repetition, medians, ratios; as a table and as JSON."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal


@dataclass
class Row:
    """One figure of one case, measured some times over."""

    part: str
    case: str
    metric: str
    unit: str
    values: list[float]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Target:
    """What a figure has to reach: `row` over `base` (or the figure itself) against `limit`.

    Rows are named "part/case/metric".
    """

    name: str
    row: str
    limit: float
    base: str | None = None
    is_ceiling: bool = False

    def verdict(
        self, rows: dict[str, Row]
    ) -> "tuple[str, float | None, Literal['met', 'missed', 'not measured']]":
        row, base = rows.get(self.row), rows.get(self.base) if self.base else None
        sign = "≤" if self.is_ceiling else "≥"
        wanted = f"{sign} {self.limit:g}" + (f" times {self.base}" if self.base else "")
        if row is None or (self.base and not (base and base.median)):
            return wanted, None, "not measured"
        value = row.median / base.median if base else row.median
        met = value <= self.limit if self.is_ceiling else value >= self.limit
        return wanted, value, "met" if met else "missed"


class Report:
    """Collects rows, says each one as it comes, and writes them all at the end."""

    def __init__(self, machine: dict[str, Any], options: dict[str, Any]) -> None:
        self.machine = machine
        self.options = options
        self.rows: list[Row] = []
        self.remarks: list[str] = []
        self.started_at = datetime.now(UTC)

    def add(
        self, part: str, case: str, metric: str, unit: str, values: Iterable[float], **notes: Any
    ) -> Row:
        """Take a figure, and print it."""
        row = Row(part, case, metric, unit, list(values), notes)
        self.rows.append(row)
        extra = "  ".join(f"{name}={value}" for name, value in notes.items())
        spread = " ".join(number(value) for value in row.values)
        print(f"  {case}: {metric} {number(row.median)} {unit}  [{spread}]  {extra}", flush=True)
        return row

    def remark(self, text: str) -> None:
        """Say something that a reader of the figures should know."""
        self.remarks.append(text)
        print(f"  ({text})", flush=True)

    def named(self) -> dict[str, Row]:
        return {f"{row.part}/{row.case}/{row.metric}": row for row in self.rows}

    def table(self) -> str:
        """All medians, as Markdown, each part's figures beside the part's best of its kind."""
        lines = []
        for part in dict.fromkeys(row.part for row in self.rows):
            lines += [f"\n### {part}\n", "| case | metric | median | lowest to highest | notes |",
                      "|---|---|---:|---:|---|"]  # fmt: skip
            for row in (row for row in self.rows if row.part == part):
                notes = ", ".join(f"{name} {value}" for name, value in row.notes.items())
                spread = f"{number(min(row.values))} to {number(max(row.values))}"
                lines.append(
                    f"| {row.case} | {row.metric} | {number(row.median)} {row.unit} | {spread}"
                    f" | {notes} |"
                )
        return "\n".join(lines)

    def verdicts(self, targets: Sequence[Target]) -> str:
        """Each target beside what was measured, where something was measured for it."""
        rows = self.named()
        lines = ["| target | wanted | measured | |", "|---|---|---:|---|"]
        for target in targets:
            wanted, value, verdict = target.verdict(rows)
            if value is not None:
                lines.append(f"| {target.name} | {wanted} | {number(value)} | {verdict} |")
        return "\n".join(lines) if len(lines) > 2 else ""

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n")

    def as_json(self) -> dict[str, Any]:
        return {
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - self.started_at).total_seconds()),
            "options": self.options,
            "machine": self.machine,
            "remarks": self.remarks,
            "rows": [vars(row) | {"median": row.median} for row in self.rows],
        }


def number(value: float) -> str:
    """Three figures that matter, and thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
