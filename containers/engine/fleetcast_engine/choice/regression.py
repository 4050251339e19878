"""The family of ridge autoregressions on what a profile leaves."""

import numpy as np

from fleetcast_engine.choice.past import Past
from fleetcast_engine.choice.profiles import Forecasts
from fleetcast_engine.choice.windows import repeat
from fleetcast_engine.history.timeline import Floats, Ints

# Steps of a day are many: six weeks of them are enough.
_DAYS_OF_STEPS = 42
_RIDGE = 0.1


def autoregressions(past: Past) -> Forecasts:
    """Return one regression on the values themselves and one on their logarithms."""
    found = {"ar": _forecast(past)}
    if past.positive:
        found["ar_log"] = past.from_logarithmic(_forecast(past.logarithmic))
    return found


def _forecast(past: Past) -> Floats:
    level = past.level(past.cycles, 0.95)
    lags = _lags(past)
    height = level.with_memory(28)[0]
    left = level.left[:, -_DAYS_OF_STEPS * past.rhythm.unit :] if past.rhythm.within_a_day else level.left
    left = np.where(np.isnan(left), 0.0, left - height)
    if left.shape[1] <= lags[-1]:
        return np.full((len(left), past.horizon), np.nan)
    coefficients = _ridge(left, lags)
    continued = _continued(left, lags, coefficients, past.horizon)
    return np.asarray(repeat(level.shape, past.horizon) + height + continued)


def _lags(past: Past) -> Ints:
    unit = past.rhythm.unit
    if not past.rhythm.within_a_day:
        return np.arange(1, 8)
    return np.array([1, 2, 3, unit - 1, unit, unit + 1, 7 * unit])


def _ridge(left: Floats, lags: Ints) -> Floats:
    """Return the coefficients of each origin: (origins, lags)."""
    longest, steps = int(lags[-1]), left.shape[1]
    lagged = np.stack([left[:, longest - lag : steps - lag] for lag in lags], axis=1)
    gram = np.einsum("oks,ols->okl", lagged, lagged)
    product = np.einsum("oks,os->ok", lagged, left[:, longest:])
    penalty = _RIDGE * np.trace(gram, axis1=1, axis2=2) / len(lags)
    penalty[penalty == 0] = 1.0
    gram += penalty[:, None, None] * np.eye(len(lags))
    solved: Floats = np.linalg.solve(gram, product[:, :, None])[:, :, 0]
    return solved


def _continued(left: Floats, lags: Ints, coefficients: Floats, horizon: int) -> Floats:
    longest = int(lags[-1])
    # Steps first: each step of the recursion then reads and writes whole rows.
    values = np.concatenate([left[:, -longest:].T, np.empty((horizon, len(left)))])
    weights, bound = np.ascontiguousarray(coefficients.T), np.abs(left).max(axis=1)
    for step in range(longest, longest + horizon):
        following = (values[step - lags] * weights).sum(axis=0)
        values[step] = np.minimum(np.maximum(following, -bound), bound)
    return values[longest:].T
