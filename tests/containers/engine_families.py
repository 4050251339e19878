"""Families as users write them: a good one, and all the ways to get it wrong."""

import sys

import numpy as np
import numpy.typing as npt
from tests.containers.engine_support import Floats, Ints


def next_steps(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    """Continue a count of days, which nothing else does exactly."""
    return values[-1] + np.arange(1, horizon + 1, dtype=float)


def looks_at_the_clock(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    assert len(values) == len(timestamps)
    assert (np.diff(timestamps) == 86_400).all()
    values[:] = timestamps[:] = 0  # its own copies: nobody else must suffer
    return np.zeros(horizon)


def too_short(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    return np.zeros(horizon - 1)


def nothing(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    return np.full(horizon, np.nan)


def broken(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    raise ZeroDivisionError("of course")


def leaves(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    sys.exit(3)


def interrupted(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    raise KeyboardInterrupt


def complex_numbers(values: Floats, timestamps: Ints, horizon: int) -> npt.NDArray[np.complex128]:
    return np.ones(horizon) * (1 + 5j)


def text(values: Floats, timestamps: Ints, horizon: int) -> list[str]:
    return ["1"] * horizon


def masked(values: Floats, timestamps: Ints, horizon: int) -> Floats:
    return np.ma.masked_all(horizon)


NOT_A_FUNCTION = 7
