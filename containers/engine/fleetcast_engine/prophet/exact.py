"""Fitting Prophet's posterior directly: no process, no files, no general optimiser."""

from collections.abc import Callable

import numpy as np

from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.prophet.kernel.compiled import maximum
from fleetcast_engine.prophet.kernel.dense import changepoint_rows
from fleetcast_engine.prophet.kernel.solver import ENDLESS, PERFECT, SINGULAR, SOLVED, Solution
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.options import Design, ProphetOptions, design_for

# What Prophet sets sigma to where every value is the same, without asking its optimiser.
_CONSTANT_SIGMA = 1e-9
_MINIMUM_ROWS = 3
# With fewer rows for each parameter, a wild season times a tiny trend may be another maximum, and a higher one.
_ROWS_PER_MULTIPLIED_PARAMETER = 3
_REASONS = {
    SINGULAR: "its equations cannot be told apart from singular ones",
    ENDLESS: "the search for its changepoints does not end",
    PERFECT: "the model fits it perfectly, so its posterior has no highest point",
}


class Declined(Exception):
    """The series is one that only stock Prophet answers for; the text says why."""


def fit_map(
    series: Series,
    options: ProphetOptions = ProphetOptions(),  # noqa: B008 - frozen
    solver: Callable[..., Solution] | None = None,
) -> ProphetModel:
    """Return the parameters that maximise Prophet's posterior.

    Args:
        series: at least three rows.
        options: as one would give them to Prophet.
        solver: compiled where possible, unless given.

    Raises:
        Declined: stock Prophet has to fit this one.
    """
    if len(series) < _MINIMUM_ROWS:
        raise Declined(f"{len(series)} rows are fewer than {_MINIMUM_ROWS}")
    design = design_for(series.timestamps, options)
    linear = options.growth == "linear"
    multiplicative = options.seasonality_mode == "multiplicative" and len(design.seasonalities) > 0
    if multiplicative:
        _check_multiplicative(len(series), options, design)
    values = series.values
    if values.min() == values.max():
        return _constant(series, options, design)
    status, _, scale, variance, free, delta, rows = (solver or maximum())(
        series.timestamps,
        values,
        design.periods,
        design.orders,
        design.precisions,
        float(linear),
        options.n_changepoints if linear else 0,
        options.changepoint_range,
        options.changepoint_prior_scale,
        multiplicative,
    )
    if status != SOLVED:
        raise Declined(_REASONS[status])
    if not linear:
        rows, delta = _unused_changepoints(len(series), options)
    model = _model(series, design, scale, variance**0.5, free, delta, rows)
    if multiplicative and not model.keeps_its_sign(series.timestamps):
        raise Declined("its multiplicative seasonality turns the trend upside down, in more ways than one")
    return model


def _check_multiplicative(rows: int, options: ProphetOptions, design: Design) -> None:
    if options.growth != "linear":
        raise Declined("its seasonality multiplies a flat trend")
    parameters = len(design.precisions) + min(options.n_changepoints, rows)
    if rows < _ROWS_PER_MULTIPLIED_PARAMETER * parameters:
        raise Declined(f"{rows} rows are few for {parameters} parameters that multiply each other")


def _model(
    series: Series,
    design: Design,
    scale: float,
    sigma: float,
    free: Floats,
    delta: Floats,
    rows: Ints,
) -> ProphetModel:
    timestamps = series.timestamps
    if len(rows) == 0:
        # Where there is no room for changepoints Prophet keeps one at the start that changes nothing.
        rows, delta = np.zeros(1, np.int64), np.zeros(1)
    return ProphetModel(
        start=int(timestamps[0]),
        span=int(timestamps[-1] - timestamps[0]),
        rows=len(timestamps),
        scale=scale,
        k=float(free[0]),
        m=float(free[1]),
        changepoints=timestamps[rows],
        delta=delta,
        seasonalities=design.seasonalities,
        beta=free[2:],
        sigma=sigma,
    )


def _constant(series: Series, options: ProphetOptions, design: Design) -> ProphetModel:
    """Return what `Prophet.fit` starts from, which for a constant it also ends with."""
    scale = float(abs(series.values[0])) or 1.0
    free = np.zeros(len(design.precisions))
    free[1] = series.values[0] / scale
    rows, delta = _unused_changepoints(len(series), options)
    return _model(series, design, scale, _CONSTANT_SIGMA, free, delta, rows)


def _unused_changepoints(count: int, options: ProphetOptions) -> tuple[Ints, Floats]:
    rows = changepoint_rows(count, options.n_changepoints, options.changepoint_range)
    return rows, np.zeros(len(rows))
