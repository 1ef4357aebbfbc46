"""A poll on one page: question, bars, numbers, when and how it was asked. ReportLab."""

import io
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from polls.models import Poll
from polls.rules.times import iso

_BAR_WIDTH, _BAR_HEIGHT = 170, 9
_INK = colors.HexColor("#2457d6")


def report_pdf(poll: Poll, results: dict[str, Any], texts: dict[int, str], base_url: str) -> bytes:
    """The report as PDF bytes; one table row an option."""
    styles = getSampleStyleSheet()
    story: list[Any] = [Paragraph(escape(poll.question), styles["Title"])]
    if poll.description:
        story.append(Paragraph(escape(poll.description), styles["BodyText"]))
    story += [Spacer(1, 12), _table(results, texts, styles), Spacer(1, 12)]
    for line in _facts(poll, results, base_url):
        story.append(Paragraph(escape(line), styles["BodyText"]))
    file = io.BytesIO()
    SimpleDocTemplate(file, pagesize=A4, title=poll.question, author="livepoll").build(story)
    return file.getvalue()


def _table(results: dict[str, Any], texts: dict[int, str], styles: Any) -> Table:
    means = results.get("means")
    counts: dict[str, int] = results["counts"]
    total = sum(counts.values())
    most = max(counts.values(), default=0)
    rows = []
    for option, count in counts.items():
        share = f"{100 * count / total:.1f} %" if total else "-"
        number = f"{count}" if not means else f"{count} · ø {means[option] or '-'}"
        text = Paragraph(escape(texts.get(int(option), "")), styles["BodyText"])
        rows.append([text, _bar(count / most if most else 0), number, share])
    table = Table(rows, colWidths=[170, _BAR_WIDTH + 10, 70, 50])
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "MIDDLE")]))
    return table


def _bar(share: float) -> Drawing:
    drawing = Drawing(_BAR_WIDTH, _BAR_HEIGHT)
    drawing.add(Rect(0, 0, max(1, _BAR_WIDTH * share), _BAR_HEIGHT, fillColor=_INK, strokeWidth=0))
    return drawing


def _facts(poll: Poll, results: dict[str, Any], base_url: str) -> list[str]:
    facts = [
        f"{results['voters']} voters, version {results['version']} of epoch {results['epoch']}.",
        f"Status: {results['status']}{', final' if results['final'] else ''}."
        f" Voters told apart by: {poll.voter_policy}.",
        f"Made {iso(datetime.now(UTC))} from {base_url}/p/{poll.code}/live/",
    ]
    if results.get("winner"):
        facts.insert(1, f"Winner of the instant run-off: option {results['winner']}.")
    return facts
