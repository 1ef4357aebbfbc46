"""How much a first visit transfers, compressed: halls share one weak network."""

import gzip
import re
from pathlib import Path

import brotli
import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from polls.services import create_poll
from tests.polls.kinds.states import option_texts
from web.kinds import KINDS

ASSET = re.compile(r'(?:href|src)="/static/([^"]+)"')
PAGE_FILE = re.compile(r'(?:href|src)="(/(?:scripts|styles)/[^"]+)"')
FONT_FORMATS = {".woff2"}


def compressed_bytes(path: Path) -> int:
    content = path.read_bytes()
    return len(content) if path.suffix in FONT_FORMATS else len(brotli.compress(content))


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize(
    ("page", "kind", "most_bytes"),
    [
        ("/", "single", 60_000),
        *(("/p/{code}/", kind, 60_000) for kind in KINDS),
        *(("/p/{code}/live/", kind, 120_000) for kind in KINDS),
    ],
)
def test_a_first_visit_stays_within_its_budget(
    client: Client, page: str, kind: str, most_bytes: int, language: str
) -> None:
    poll, _ = create_poll(question="?", options=option_texts(kind, 2), kind=kind, max_choices=1)
    html = client.get(page.format(code=poll.code), headers={"Accept-Language": language}).content
    files = PAGE_FILE.findall(html.decode())
    assert len(files) == 2
    total = sum(len(gzip.compress(one)) for one in (html, *(client.get(f).content for f in files)))
    for name in sorted(set(ASSET.findall(html.decode()))):
        found = finders.find(name)
        assert found, name
        total += compressed_bytes(Path(found))
    print(f"{page} of a {kind} poll in {language}: {total} bytes")
    assert total < most_bytes
