"""A poll on one page: question, bars, numbers, when and how it was asked. ReportLab."""

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from polls.models import Poll
from polls.rules.kinds import kind_of
from polls.rules.kinds.kind import Bar
from polls.rules.times import iso

_BAR_WIDTH, _BAR_HEIGHT = 170, 9
_INK = colors.HexColor("#2457d6")


def report_pdf(poll: Poll, results: dict[str, Any], texts: dict[int, str], base_url: str) -> bytes:
    """The report as PDF bytes; a bar for each option, or what the kind of poll has instead."""
    kind = kind_of(poll.kind)
    styles = getSampleStyleSheet()
    story: list[Any] = [Paragraph(escape(poll.question), styles["Title"])]
    if poll.description:
        story.append(Paragraph(escape(poll.description), styles["BodyText"]))
    story += [Spacer(1, 12), _chart(list(kind.bars(results, texts)), styles), Spacer(1, 12)]
    for line in _facts(poll, results, kind.facts(results), base_url):
        story.append(Paragraph(escape(line), styles["BodyText"]))
    file = io.BytesIO()
    SimpleDocTemplate(file, pagesize=A4, title=poll.question, author="livepoll").build(story)
    return file.getvalue()


def _chart(bars: Sequence[Bar], styles: Any) -> Table | Paragraph:
    if not bars:
        return Paragraph("Nothing has been counted yet.", styles["BodyText"])
    total = sum(bar.number for bar in bars)
    most = max(bar.number for bar in bars)
    rows = []
    for bar in bars:
        share = f"{100 * bar.number / total:.1f} %" if total else "-"
        number = f"{bar.number} · {bar.note}" if bar.note else str(bar.number)
        text = Paragraph(escape(bar.text), styles["BodyText"])
        rows.append([text, _bar(bar.number / most if most else 0), number, share])
    table = Table(rows, colWidths=[170, _BAR_WIDTH + 10, 70, 50])
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "MIDDLE")]))
    return table


def _bar(share: float) -> Drawing:
    drawing = Drawing(_BAR_WIDTH, _BAR_HEIGHT)
    drawing.add(Rect(0, 0, max(1, _BAR_WIDTH * share), _BAR_HEIGHT, fillColor=_INK, strokeWidth=0))
    return drawing


def _facts(poll: Poll, results: dict[str, Any], of_kind: Iterable[str], base_url: str) -> list[str]:
    return [
        f"{results['voters']} voters, version {results['version']} of epoch {results['epoch']}.",
        *of_kind,
        f"Status: {results['status']}{', final' if results['final'] else ''}."
        f" Voters told apart by: {poll.voter_policy}.",
        f"Made {iso(datetime.now(UTC))} from {base_url}/p/{poll.code}/live/",
    ]
