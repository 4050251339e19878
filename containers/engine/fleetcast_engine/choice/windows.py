"""Looking back from several origins at once: cycles of steps, their profile, and levels of different memory."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fleetcast_engine.history.timeline import Floats, Ints

# A cycle with fewer known steps has no level to compare them with.
_KNOWN_STEPS = 3
_TURNS = 3
# In mean absolute deviations: one and a half standard deviations of a normal distribution.
_FAR = 1.875


def windows(values: Floats, origins: Ints, length: int) -> Floats:
    """Return the `length` values up to each origin, NaN before the first: (origins, length)."""
    missing = length - 1 - int(origins.min(initial=length))
    if missing > 0:
        values, origins = np.concatenate([np.full(missing, np.nan), values]), origins + missing
    looked_at: Floats = sliding_window_view(values, length)[origins - length + 1]
    return looked_at


def ahead(values: Floats, origins: Ints, horizon: int) -> Floats:
    """Return what came after each origin, NaN where it is not known yet: (origins, horizon)."""
    values = np.concatenate([values, np.full(horizon, np.nan)])
    return windows(values, origins + horizon, horizon)


def last_of_cycle(cycles: Floats, count: int) -> Floats:
    """Return the mean of the last `count` known values of each step of the cycle: (origins, cycle).

    Args:
        cycles: (origins, cycles, cycle), NaN where nothing is known.
        count: how many.
    """
    newest_first = cycles[:, ::-1]
    known = ~np.isnan(newest_first)
    taken = known & (np.cumsum(known, axis=1, dtype=np.int32) <= count)
    totals = np.where(taken, newest_first, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = totals / taken.sum(axis=1)
    return means


def profile(cycles: Floats, decay: float) -> Floats:
    """Return how the steps of a cycle differ from its mean: (origins, cycle), each row with the mean 0.

    A two-way layout solved by turns: the cycles' means given the profile, the profile given the means; older
    cycles count less by `decay` each. What lies far from both is pulled in between the turns (Huber: Robust
    estimation of a location parameter, 1964), so that a holiday does not become part of every week.
    """
    known = ~np.isnan(cycles)
    values = np.where(known, cycles, 0.0)
    counts = known.sum(axis=2)
    weights = decay ** np.arange(cycles.shape[1])[::-1] * (counts >= min(_KNOWN_STEPS, cycles.shape[2]))
    weighted = weights[:, :, None] * known
    totals = weighted.sum(axis=1)
    totals[totals == 0] = np.inf
    sizes = np.maximum(counts.sum(axis=1), 1)
    counts, trusted = np.maximum(counts, 1), values
    shape = np.zeros((len(cycles), cycles.shape[2]))
    for turn in range(_TURNS):
        means = (trusted.sum(axis=2) - np.einsum("ocp,op->oc", known, shape)) / counts
        shape = ((trusted * weighted).sum(axis=1) - np.einsum("oc,ocp->op", means, weighted)) / totals
        shape -= shape.mean(axis=1, keepdims=True)
        if turn < _TURNS - 1:
            fitted = shape[:, None] + means[:, :, None]
            missed = (values - fitted) * known
            limits = _FAR * np.abs(missed).sum(axis=(1, 2)) / sizes
            pulled = np.clip(missed, -limits[:, None, None], limits[:, None, None])
            trusted = np.where(known, fitted + pulled, 0.0)
    return shape


def levels(residuals: Floats, unit: int, half_lives: tuple[float, ...]) -> Floats:
    """Return exponentially weighted means of the last values: (origins, half-lives).

    Args:
        residuals: (origins, steps), NaN where nothing is known.
        unit: steps of a day, say; the weights fall from one to the next.
        half_lives: in units.
    """
    days = residuals.reshape(len(residuals), -1, unit)
    known = ~np.isnan(days)
    age = np.arange(days.shape[1])[::-1]
    weights = 0.5 ** (age[:, None] / np.array(half_lives))
    totals = np.where(known, days, 0.0).sum(axis=2)
    means: Floats = np.einsum("od,dh->oh", totals, weights) / np.maximum(
        np.einsum("od,dh->oh", known.sum(axis=2).astype(np.float64), weights), 1e-12
    )
    return means


def repeat(cycle: Floats, horizon: int) -> Floats:
    """Return the cycle again and again, up to the horizon: (origins, horizon)."""
    times = -(-horizon // cycle.shape[1])
    return np.concatenate([cycle] * times, axis=1)[:, :horizon]
