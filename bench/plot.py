"""A picture of the figures: `python -m bench.plot FIGURES.json PICTURE.svg`.

Bars of fan-out and of votes, each with its number; made by hand, so that it needs nothing.
"""

import json
import sys
from html import escape
from pathlib import Path
from typing import Any

from bench.report import number

WIDTH, LABELS, BAR, GAP, HEAD = 780, 310, 20, 8, 34
OURS, OTHERS, INK = "#2563eb", "#94a3b8", "#64748b"

PANELS = [
    (
        "fan-out",
        "frames/s",
        "Frames/s delivered to 1,000 screens, one process",
        ["livepoll, uvicorn", "livepoll, daphne", "Nchan", "Socket.IO", "plain, daphne"],
    ),
    (
        "votes",
        "votes/s",
        "Acknowledged votes/s, one process, fsync on",
        [
            "livepoll, one process, one poll",
            "livepoll, SQLite, one poll",
            "livepoll, daphne, one poll",
            "pgbench, single-row inserts, simple protocol",
            "plain, daphne",
        ],
    ),
]


def draw(figures: dict[str, Any]) -> str:
    """The picture as SVG; cases that were not measured are left out."""
    medians = {(row["part"], row["metric"], row["case"]): row["median"] for row in figures["rows"]}
    parts: list[str] = []
    top = 0
    for part, metric, title, cases in PANELS:
        bars = [(case, medians[part, metric, case]) for case in cases
                if (part, metric, case) in medians]  # fmt: skip
        if not bars:
            continue
        parts.append(_text(0, top + 18, title, weight="bold"))
        top += HEAD
        longest = max(value for _, value in bars)
        for case, value in bars:
            length = max(1.0, (WIDTH - LABELS - 80) * value / longest)
            colour = OURS if case.startswith("livepoll") else OTHERS
            parts += [
                _text(LABELS - 8, top + 15, case, anchor="end"),
                f'<rect x="{LABELS}" y="{top}" width="{length:.0f}" height="{BAR}" rx="2"'
                f' fill="{colour}"/>',
                _text(LABELS + length + 6, top + 15, number(value)),
            ]
            top += BAR + GAP
        top += 14
    machine = figures["machine"]
    parts.append(
        _text(0, top + 10, f"{machine['cpu']}, {machine['cores']} cores, {machine['commit']}",
              size=11)
    )  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 20}" role="img"'
        f' font-family="system-ui, sans-serif"><title>Fan-out and votes, livepoll and others'
        f"</title>{''.join(parts)}</svg>\n"
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 13
) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}"'
        f' font-size="{size}" fill="{INK}">{escape(text)}</text>'
    )


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.write_text(draw(json.loads(source.read_text())))


if __name__ == "__main__":
    main()
