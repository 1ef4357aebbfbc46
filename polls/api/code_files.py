"""New voter codes as files: CSV, and a sheet of QR codes to print. Made part by part."""

import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock

import segno
from django.template.loader import render_to_string

from polls.models import Poll

Codes = Sequence[tuple[int, str]]

_LINES_A_PART = 500
# One card at a time in a process, some 3 ms of work, and after each the event loop gets its turn: a
# vote then waits for one card at most.
_one_at_a_time = Lock()
_PAUSE_SECONDS = 0.002
_END_OF_SHEET = "</ol>"
# Nothing there needs escaping.
_CARD = '<li value="{number}"><img src="{qr}" alt=""><b>{code}</b> <small>#{number}</small></li>\n'
# Within the document, which is opened where no address leads to a file beside it: saved, as a blob.
_STYLE = (Path(__file__).parents[1] / "templates/polls/voter_codes_sheet.css").read_text()
# For the `style-src` of the document, and of a page that opens it: a blob has its page's policy.
SHEET_STYLE_SOURCE = f"'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
SHEET_POLICY = (
    f"default-src 'none'; img-src data:; style-src {SHEET_STYLE_SOURCE}; frame-ancestors 'none'"
)


def csv_of(codes: Codes, page: str) -> Iterator[str]:
    """A header, and a line a code with the address that it votes by. Nothing needs quotes."""
    yield "number,code,link\r\n"
    for start in range(0, len(codes), _LINES_A_PART):
        part = codes[start : start + _LINES_A_PART]
        yield "".join(f"{number},{code},{page}#code={code}\r\n" for number, code in part)


def sheet_of(poll: Poll, codes: Codes, page: str) -> Iterator[str]:
    """An HTML document with a card a code; 5 ms each."""
    context = {"question": poll.question, "page": page, "style": _STYLE}
    sheet = render_to_string("polls/voter_codes_sheet.html", context)
    head, end, tail = sheet.partition(_END_OF_SHEET)
    yield head
    for number, code in codes:
        with _one_at_a_time:
            qr = _qr(f"{page}#code={code}")
            time.sleep(_PAUSE_SECONDS)
        yield _CARD.format(qr=qr, code=code, number=number)
    yield end + tail


def _qr(text: str) -> str:
    """A QR code as the address of an image. One mask instead of the best of eight: a scanner reads
    each of them, and finding the best costs four times all else."""
    return str(segno.make(text, error="m", micro=False, mask=0).svg_data_uri(scale=4))
