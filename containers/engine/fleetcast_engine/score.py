"""Intervals as multiples of a standard deviation."""

from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()


@lru_cache(maxsize=64)
def score(interval: float) -> float:
    """Return how many standard deviations around the mean hold a normal value with probability `interval`."""
    return _NORMAL.inv_cdf((1 + interval) / 2)
