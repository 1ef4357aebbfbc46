from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls.rules.kinds.rating import mean

histograms = st.lists(st.integers(0, 10**9), min_size=5, max_size=5)


@given(histograms)
def test_the_mean_is_the_exact_one_rounded_half_up(histogram: list[int]) -> None:
    votes = sum(histogram)
    if not votes:
        assert mean(histogram) is None
        return
    total = sum(rating * n for rating, n in enumerate(histogram, 1))
    # Quantizing a rounded quotient would round twice; scale first, divide once.
    hundredths = (Decimal(100 * total) / votes).quantize(Decimal(1), ROUND_HALF_UP)
    assert mean(histogram) == float(hundredths / 100)


@pytest.mark.parametrize(
    ("histogram", "expected"),
    [
        ([0, 0, 0, 0, 0], None),
        ([1, 0, 0, 0, 0], 1.0),
        ([0, 0, 0, 7, 1], 4.13),  # 4.125
        ([0, 0, 0, 0, 3], 5.0),
        ([1, 0, 0, 0, 2], 3.67),
    ],
)
def test_halves_go_up_and_nothing_has_no_mean(histogram: list[int], expected: float | None) -> None:
    assert mean(histogram) == expected
