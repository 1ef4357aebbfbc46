"""PrefLib files: real ones read exactly, written ones read back, broken ones refused by line."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.preflib import Order, PrefLibError, PrefLibFile, Ranking, parse_preflib, read_preflib
from tests.replay.elections import DEBIAN, LEADER, MAYOR, Election

HEADER = """\
# TITLE: Lunch
# DATA TYPE: toi
# NUMBER ALTERNATIVES: 3
# ALTERNATIVE NAME 1: Soup
# ALTERNATIVE NAME 2: Salad: green
# ALTERNATIVE NAME 3: Bread
"""


def lunch(*rows: str, header: str = HEADER) -> PrefLibFile:
    return parse_preflib((header + "\n".join(rows) + "\n").encode())


@pytest.mark.parametrize("election", [MAYOR, LEADER], ids=lambda election: election.title)
def test_an_election_has_its_first_preferences(election: Election) -> None:
    file = read_preflib(election.file)
    first = Counter(ballot.first_preference() for ballot in file.ballots())
    named = {file.alternatives[index - 1]: n for index, n in first.items() if index is not None}
    assert file.title == election.title
    assert file.voters == election.votes + election.without_one
    assert first[None] == election.without_one
    assert named == election.first_preferences


def test_debian_is_read_without_ties() -> None:
    file = read_preflib(DEBIAN)
    assert file.voters == len(list(file.ballots())) == 436
    assert file.alternatives[4] == "None Of The Above"
    assert all(len(group) == 1 for order in file.orders for group in order.ranking)


def test_ties_names_with_colons_and_a_byte_order_mark_are_read() -> None:
    file = parse_preflib(b"\xef\xbb\xbf" + HEADER.encode() + b"2: 3, {1,2}\r\n1: {1, 3}\r\n")
    assert file.alternatives == ("Soup", "Salad: green", "Bread")
    assert file.orders == (Order(2, ((3,), (1, 2))), Order(1, ((1, 3),)))


def test_a_ballot_is_strict_up_to_its_first_tie() -> None:
    assert Order(1, ((5,), (4,), (1, 2), (3,))).strict_prefix() == (5, 4)
    assert Order(1, ((1, 6), (5,))).strict_prefix() == ()
    assert Order(1, ((1, 6), (5,))).first_preference() is None


def test_the_digest_is_of_the_bytes() -> None:
    assert lunch("1: 1").digest != lunch("1: 2").digest
    assert lunch("1: 1").digest == lunch("1: 1").digest


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1, 2, 3", "expected 'count: order'"),
        ("x: 1", "expected 'count: order'"),
        ("²: 1", "expected 'count: order'"),
        ("9999999999: 1", "expected 'count: order'"),
        ("1: 9999999999", "expected numbers and commas"),
        ("-1: 1", "expected 'count: order'"),
        ("0: 1", "at least once"),
        ("1:", "expected an alternative"),
        ("1: 1,", "expected an alternative"),
        ("1: 1,,2", "expected an alternative"),
        ("1: {1,2", "expected an alternative"),
        ("1: {}", "expected an alternative"),
        ("1: {1,,2}", "expected numbers and commas"),
        ("1: 1 2", "expected a comma"),
        ("1: 4", "no alternative 4"),
        ("1: 0", "no alternative 0"),
        ("1: 1,{2,1}", "ranked twice"),
    ],
)
def test_a_bad_ballot_is_named_by_its_line(row: str, complaint: str) -> None:
    with pytest.raises(PrefLibError, match=f"^line 8: .*{complaint}") as caught:
        lunch("5: 1,2,3", row)
    assert caught.value.line == 8


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("1: 1\n", "no '# ALTERNATIVE NAME"),
        (HEADER, "no ballots"),
        (HEADER + "# ALTERNATIVE NAME 3: Toast\n1: 1\n", "line 7: alternative 3 is named twice"),
        (HEADER + "# ALTERNATIVE NAME 5: Toast\n1: 1\n", "not numbered 1, 2, 3"),
        (HEADER + "# ALTERNATIVE NAME 4: Toast\n1: 1\n", "NUMBER ALTERNATIVES says 3"),
        (HEADER + "# ALTERNATIVE NAME 4:\n1: 1\n", "line 7: alternative 4 has an empty name"),
        (HEADER + "# NUMBER VOTERS: 3\n2: 1\n", "NUMBER VOTERS says 3, but the file has 2"),
        (HEADER + "# NUMBER UNIQUE ORDERS: 2\n2: 1\n", "NUMBER UNIQUE ORDERS says 2"),
        (HEADER + "2: 1\n# NUMBER VOTERS: 2\n", "line 8: a header line after"),
        (HEADER.replace("toi", "cat") + "2: 1\n", "DATA TYPE is 'cat'"),
        (HEADER.replace("toi", "soi") + "2: {1,2}\n", "line 7: a tie"),
        (HEADER.replace("toi", "toc") + "2: {1,2}\n", "line 7: an incomplete order"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(content: str, complaint: str) -> None:
    with pytest.raises(PrefLibError, match=complaint):
        parse_preflib(content.encode())


def test_bytes_that_are_no_text_are_named_by_their_line() -> None:
    with pytest.raises(PrefLibError, match=r"^line 2: not UTF-8"):
        parse_preflib(b"# TITLE: x\n\xff\n")


@st.composite
def files(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, Ranking]]]:
    """Names of alternatives, and orders over them: each alternative at most once, some tied."""
    letters = st.characters(codec="utf-8", categories=("L", "N", "P", "S"))
    names = draw(st.lists(st.text(letters, min_size=1, max_size=20), min_size=1, max_size=7))

    def ranking(groups: list[int]) -> Ranking:
        """Alternatives that drew the same rank are tied; rank 0 stays off the ballot."""
        ranks = sorted({rank for rank in groups if rank})
        return tuple(
            tuple(i for i, rank in enumerate(groups, 1) if rank == wanted) for wanted in ranks
        )

    ranks = st.lists(st.integers(0, len(names)), min_size=len(names), max_size=len(names)).filter(
        any
    )
    orders = draw(st.lists(st.tuples(st.integers(1, 1000), ranks.map(ranking)), min_size=1))
    return names, orders


def written(names: list[str], orders: list[tuple[int, Ranking]]) -> str:
    header = [f"# ALTERNATIVE NAME {i}: {name}" for i, name in enumerate(names, 1)]
    rows = []
    for count, ranking in orders:
        groups = (",".join(map(str, g)) for g in ranking)
        tied = (g if "," not in g else f"{{{g}}}" for g in groups)
        rows.append(f"{count}: {','.join(tied)}")
    return "\n".join([*header, f"# NUMBER VOTERS: {sum(n for n, _ in orders)}", *rows])


@given(files())
def test_what_is_written_is_read_back(file: tuple[list[str], list[tuple[int, Ranking]]]) -> None:
    names, orders = file
    read = parse_preflib(written(names, orders).encode())
    assert list(read.alternatives) == names
    assert [(order.count, order.ranking) for order in read.orders] == orders
    for order in read.orders:
        assert (order.first_preference() is None) == (order.strict_prefix() == ())


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for data in (content, HEADER.encode() + content):
        try:
            read = parse_preflib(data)
        except PrefLibError:
            continue
        assert read.voters >= 1
