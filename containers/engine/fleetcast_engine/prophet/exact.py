"""Fitting Prophet's posterior directly: no process, no files, no general optimiser."""

from collections.abc import Callable

import numpy as np

from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.prophet.design import Design, changepoints_for, design_for
from fleetcast_engine.prophet.kernel.compiled import maximum
from fleetcast_engine.prophet.kernel.solver import ENDLESS, PERFECT, SINGULAR, SOLVED, Solution
from fleetcast_engine.prophet.model import ProphetModel
from fleetcast_engine.prophet.options import ProphetOptions

# What Prophet sets sigma to where every value is the same, without asking its optimiser.
_CONSTANT_SIGMA = 1e-9
_MINIMUM_ROWS = 3
# With fewer rows for each parameter, a wild season times a tiny trend may be another maximum, and a higher one.
_ROWS_PER_MULTIPLIED_PARAMETER = 3
_REASONS = {
    SINGULAR: "its equations cannot be told apart from singular ones",
    ENDLESS: "the search for its maximum does not end",
    PERFECT: "the model fits it perfectly, so its posterior has no highest point",
}
_NO_CHANGEPOINTS = np.empty(0, np.int64)


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
        MissingRegressor: a regressor does not have one value for each row.
    """
    _check(series, options)
    timestamps, values = series.timestamps, series.values
    design, changepoints = design_for(timestamps, options), changepoints_for(timestamps, options)
    if len(changepoints) and not timestamps[0] <= changepoints[0] <= changepoints[-1] <= timestamps[-1]:
        raise Declined("its changepoints do not lie within its rows")
    if len(design.sizes) and not np.isfinite(design.sizes).all():
        raise Declined("the values of a regressor are too large to be standardized")
    if values[0] == values[1] and (values == values[0]).all():
        return _constant(series, options, design, changepoints)
    if design.multiplicative:
        _check_multiplicative(len(series), design, changepoints)
    linear = options.growth == "linear"
    status, _, scale, variance, free, delta = (solver or maximum())(
        timestamps,
        values,
        design.periods,
        design.orders,
        design.extras,
        design.precisions,
        design.multiplied,
        design.multiplicative,
        float(linear),
        changepoints if linear else _NO_CHANGEPOINTS,
        options.changepoint_prior_scale,
    )
    if status != SOLVED:
        raise Declined(_REASONS[status])
    if not linear:
        delta = np.zeros(len(changepoints))
    model = _model(series, options, design, scale, variance**0.5, free, changepoints, delta)
    if len(design.sizes) and not np.isfinite(model.beta).all():
        raise Declined("a coefficient is too large to be a number")
    if design.multiplicative:
        _check_sign(model, timestamps, options)
    return model


def _check(series: Series, options: ProphetOptions) -> None:
    if options.mcmc_samples > 0:
        raise Declined("it asks for samples of the posterior, not for its maximum")
    if options.growth == "logistic":
        raise Declined("logistic growth is not linear in its parameters")
    if len(series) < _MINIMUM_ROWS:
        raise Declined(f"{len(series)} rows are fewer than {_MINIMUM_ROWS}")


def _check_multiplicative(rows: int, design: Design, changepoints: Ints) -> None:
    parameters = len(design.precisions) + min(len(changepoints), rows)
    if rows < _ROWS_PER_MULTIPLIED_PARAMETER * parameters:
        raise Declined(f"{rows} rows are few for {parameters} parameters that multiply each other")


def _check_sign(model: ProphetModel, timestamps: Ints, options: ProphetOptions) -> None:
    if not model.keeps_its_sign(timestamps, {given.name: given.values for given in options.regressors}):
        raise Declined("its multiplicative seasonality turns the trend upside down, in more ways than one")


def _model(
    series: Series,
    options: ProphetOptions,
    design: Design,
    scale: float,
    sigma: float,
    free: Floats,
    changepoints: Ints,
    delta: Floats,
) -> ProphetModel:
    start, span = int(series.timestamps[0]), int(series.timestamps[-1] - series.timestamps[0])
    if len(changepoints) == 0:
        # Where there is no room for changepoints Prophet keeps one at the start that changes nothing.
        changepoints, delta = np.array([start]), np.zeros(1)
    if len(design.sizes):
        with np.errstate(over="ignore"):
            free[len(free) - len(design.sizes) :] /= design.sizes
    return ProphetModel(
        start=start,
        span=span,
        rows=len(series),
        scale=scale,
        k=float(free[0]),
        m=float(free[1]),
        changepoints=changepoints,
        delta=delta,
        seasonalities=design.seasonalities,
        beta=free[2:],
        sigma=sigma,
        growth=options.growth,
        holidays=design.holidays,
        regressors=design.regressors,
    )


def _constant(series: Series, options: ProphetOptions, design: Design, changepoints: Ints) -> ProphetModel:
    """Return what `Prophet.fit` starts from, which for a constant it also ends with."""
    scale = float(abs(series.values[0])) or 1.0
    free = np.zeros(len(design.precisions))
    free[1] = series.values[0] / scale
    delta = np.zeros(len(changepoints))
    return _model(series, options, design, scale, _CONSTANT_SIGMA, free, changepoints, delta)
