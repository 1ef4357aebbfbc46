"""Rating polls: the mean of one small histogram an option.

Pure, and exact: sums are integers, and only the finished mean becomes a float. A histogram
is five counts, so a tally costs the same after ten votes and after ten million.
"""

from collections.abc import Sequence


def mean(histogram: Sequence[int]) -> float | None:
    """The mean to two decimals, halves up (4.125 is 4.13); None when nobody rated.

    Rounded in whole hundredths, never from a float, so that it is the same everywhere.
    """
    votes = sum(histogram)
    if not votes:
        return None
    total = sum(rating * n for rating, n in enumerate(histogram, start=1))
    return ((200 * total + votes) // (2 * votes)) / 100
