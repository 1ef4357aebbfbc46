"""One word a thing, and the field's word: names of ours that were retired must not come back.

It reads identifiers, file names, docstrings and comments of Python, JavaScript, CSS and templates,
and all of Markdown; not strings (users' texts, translations, the wire), nor history (the changelog,
docs/decisions).
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".js", ".mjs", ".css", ".html", ".md"}
HISTORY = ("CHANGELOG.md", "docs/decisions/")
CODE = ("asgi.py", "accounts/", "exports/", "livepoll/", "polls/", "realtime/", "replay/", "web/")


class Retired(NamedTuple):
    """A pattern of whole words, and what to write instead.

    `in_prose`: in docstrings, comments and documents too. `within`: folders it is retired in.
    """

    words: str
    instead: str
    in_prose: bool = True
    within: str | tuple[str, ...] = ""


RETIRED = (
    Retired("doors?", "endpoint"),
    Retired("desks?", "endpoint, listener"),
    Retired("presum(e|es|ed|ing|ption)", "assume, optimistic"),
    Retired("wary", "optimistic, locked"),
    Retired("abandon(s|ed|ing)?", "stale, closed"),
    Retired("forwarding", "client address"),
    Retired("chrome", "page frame, layout"),
    Retired("house", "package, application"),
    Retired("whom|whoever|whatever", "the subject: the client, the committer, any error"),
    Retired("nobody|anybody|somebody|everybody", "no client, a voter, all sockets", within=CODE),
    # Prose may tell two voters apart, lean on a database, and say a tally in words.
    Retired("tells?|told|telling", "publish, send, print, log", in_prose=False),
    Retired("words", "messages, text", in_prose=False),
    Retired("wish(es)?", "parameters, request", in_prose=False),
    Retired("lean", "raw", in_prose=False),
    # A garbage collector is the field's term; a module is named after what it bounds.
    Retired("garbage", "memory", in_prose=False),
    # An item of a batch has an answer, an HTTP request a response.
    Retired("answers?|answered", "response", in_prose=False, within="polls/http/"),
)

# (file, word): why it stays.
EXCEPTIONS = {
    ("tests/ensure_browser.py", "chrome"): "the browser",
    ("deploy/local_servers/__init__.py", "whatever"): "any end of the parent, kill -9 included",
    ("deploy/local_servers/guarded_process.py", "whatever"): "the same",
}


class Found(NamedTuple):
    line: int
    text: str
    is_name: bool


def files() -> Iterator[Path]:
    packages = [path for path in ROOT.iterdir() if (path / "__init__.py").exists()]
    for folder in (*packages, ROOT / "docs"):
        yield from sorted(
            path
            for path in folder.rglob("*")
            if path.suffix in SUFFIXES and "node_modules" not in path.parts
        )
    yield from sorted(path for path in ROOT.iterdir() if path.suffix in SUFFIXES)


@cache
def rules_for(word: str) -> list[Retired]:
    return [rule for rule in RETIRED if re.fullmatch(rule.words, word)]


@cache
def words_of(text: str) -> list[str]:
    """The words in prose or in an identifier of any style, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)]


def in_python(source: str) -> Iterator[Found]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT):
            yield Found(token.start[0], token.string, token.type == tokenize.NAME)
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Module(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
                | ast.ClassDef(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
                | ast.FunctionDef(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
                | ast.AsyncFunctionDef(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
            ):
                yield from in_prose(text, docstring.lineno)


def in_prose(text: str, first: int = 1) -> Iterator[Found]:
    for number, line in enumerate(text.splitlines(), start=first):
        yield Found(number, line, is_name=False)


_JAVASCRIPT = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<name>[A-Za-z_$][\w$]*)""",
    re.VERBOSE | re.DOTALL,
)
_STYLE = re.compile(r"(?P<comment>/\*.*?\*/)|[.#](?P<name>[A-Za-z][\w-]*)", re.DOTALL)
_TEMPLATE = re.compile(
    r'(?P<comment>\{#.*?#\}|<!--.*?-->)|\b(?:id|class|for|name|data-[\w-]+)="(?P<name>[^"]*)"',
    re.DOTALL,
)


def by(pattern: re.Pattern[str], source: str) -> Iterator[Found]:
    for match in pattern.finditer(source):
        groups = match.groupdict()
        text = groups.get("comment") or groups.get("name")
        if text:
            line = source.count("\n", 0, match.start()) + 1
            yield Found(line, text, is_name=groups.get("comment") is None)


def found_in(suffix: str, source: str) -> Iterator[Found]:
    match suffix:
        case ".py":
            return in_python(source)
        case ".md":
            return in_prose(source)
        case ".css":
            return by(_STYLE, source)
        case ".html":
            return by(_TEMPLATE, source)
    return by(_JAVASCRIPT, source)


def retired_in(name: str, source: str) -> Iterator[tuple[int, str, str]]:
    """Line, word and what to write instead, for all that is retired in a file of this name."""
    path = Path(name)
    names = [Found(0, part, is_name=True) for part in path.with_suffix("").parts]
    for found in (*names, *found_in(path.suffix, source)):
        for word in words_of(found.text):
            for rule in rules_for(word):
                if (found.is_name or rule.in_prose) and name.startswith(rule.within):
                    yield found.line, word, rule.instead


@cache
def all_retired() -> list[tuple[str, int, str, str]]:
    """File, line, word and what to write instead, in the whole repository."""
    return [
        (name, *found)
        for path in files()
        if not (name := path.relative_to(ROOT).as_posix()).startswith(HISTORY)
        and path != Path(__file__)
        for found in retired_in(name, path.read_text())
    ]


def test_no_retired_word_is_back() -> None:
    back = [
        f"{name}:{line} says {word!r}; say {instead}"
        for name, line, word, instead in all_retired()
        if (name, word) not in EXCEPTIONS
    ]
    assert back == []


def test_every_exception_is_needed() -> None:
    assert set(EXCEPTIONS) <= {(name, word) for name, _, word, _ in all_retired()}


@pytest.mark.parametrize(
    ("name", "source", "word"),
    [
        ("polls/front_door.py", "", "door"),
        ("polls/x.py", "def tell_screens(): pass", "tell"),
        ("polls/x.py", "class WaryCommit: pass", "wary"),
        ("polls/x.py", "told = []", "told"),
        ("polls/x.py", "x = 1  # whoever asks", "whoever"),
        ("polls/x.py", 'def f():\n    """What becomes of whatever waits."""', "whatever"),
        ("polls/http/x.py", "answer_headers = {}", "answer"),
        ("web/static/web/js/x.js", "const problemWords = 1;", "words"),
        ("web/static/web/js/x.js", "/* whoever\nreads */", "whoever"),
        ("web/static/web/css/x.css", ".joincard-words { color: red }", "words"),
        ("web/templates/web/x.html", '<p id="closing-words"></p>', "words"),
        ("docs/x.md", "Answered at the door.", "door"),
    ],
)
def test_a_retired_word_is_found(name: str, source: str, word: str) -> None:
    assert [found for _, found, _ in retired_in(name, source)] == [word]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("polls/x.py", 'text = "Nobody is told at the door, whatever comes."'),
        ("polls/x.py", "answer = 1  # two voters are told apart"),
        ("web/static/web/js/x.js", 'alert(gettext("Whatever you like"));'),
        ("web/static/web/css/x.css", "p { word-break: break-word }"),
        ("web/templates/web/x.html", '{% translate "Tell whoever is at the door" %}'),
        ("docs/x.md", "Voters are told apart; tests lean on words."),
    ],
)
def test_strings_and_plain_english_are_left_alone(name: str, source: str) -> None:
    assert list(retired_in(name, source)) == []
