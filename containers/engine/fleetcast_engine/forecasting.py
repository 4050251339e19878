"""Asking a loaded model for the future; numpy is all it takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from fleetcast_engine.artifact.moments import iso_time
from fleetcast_engine.errors import BadParameters, ForecastError
from fleetcast_engine.history.ahead import future
from fleetcast_engine.history.coarser import COARSER, coarser_future
from fleetcast_engine.history.timeline import Floats, Ints, Timeline
from fleetcast_engine.model import FittedModel, LoadedModel
from fleetcast_engine.prophet.model import NO_REGRESSORS

# Eleven years of hours. Beyond it an answer means nothing and its memory begins to count.
MAX_STEPS = 100_000
# Beyond it no backtest has seen how far off a forecast can be, and bounds run off to infinity.
MAX_INTERVAL = 0.9999
# The last second of 9999: no calendar writes the next one.
_LATEST = 253_402_300_799
# An array, since numpy makes one of a number at every comparison.
_ZERO = np.zeros(())


@dataclass(frozen=True)
class Forecast:
    """A forecast at consecutive timestamps, with bounds that hold the truth with probability `interval`.

    The timestamps may be shared with other forecasts, so nobody may write to them.
    """

    timestamps: Ints
    yhat: Floats
    lower: Floats
    upper: Floats
    interval: float


def forecast(  # noqa: PLR0913 - each is a word of the question
    loaded: LoadedModel,
    period: int,
    start: int | None = None,
    interval: float = 0.8,
    regressors: Mapping[str, Floats] = NO_REGRESSORS,
    *,
    frequency: str | None = None,
) -> Forecast:
    """Forecast `period` steps of the series' own frequency, or of a coarser one.

    Args:
        loaded: the customer's model.
        period: how many steps.
        start: seconds since 1970 in UTC; the first step at or after it begins the answer, or the one of the same
            local day (see `Timeline.step_at`). By default the answer begins right after the training data.
        interval: probability that the truth lies between lower and upper, above 0 and at most 0.9999.
        regressors: for each of the model's regressors its `period` future values, in its own unit.
        frequency: "daily" from hourly rows, say: of the series' own steps those that a coarser frequency falls on,
            as they are and not summed up. They are counted from `start`, or from the end of the training data.

    Raises:
        BadParameters: the model is broken in a way that only shows now.
        ForecastError: the answer would be empty, would lie in the past, or would reach too far; `period` or `start`
            is no whole number, `interval` is out of its range, or `frequency` has steps that are none of the series'.
        MissingRegressor: the model has a regressor that has no value for each step.
    """
    model = loaded.model
    if not 0 < interval <= MAX_INTERVAL:
        raise ForecastError(
            f"interval must be above 0 and at most {MAX_INTERVAL}, not {interval}", "interval"
        )
    timestamps = _timestamps(model, period, start, frequency)
    yhat, lower, upper = _evaluate(model, timestamps, interval, regressors)
    if model.nonnegative:
        lower, yhat, upper = np.maximum(lower, _ZERO), np.maximum(yhat, _ZERO), np.maximum(upper, _ZERO)
    return Forecast(timestamps, yhat, lower, upper, interval)


def components(
    loaded: LoadedModel,
    period: int,
    start: int | None = None,
    regressors: Mapping[str, Floats] = NO_REGRESSORS,
    *,
    frequency: str | None = None,
) -> dict[str, Floats]:
    """Return what the forecast of the same arguments is made of, before it is cut off at zero.

    Prophet's are "trend", the seasonalities, holidays and regressors by name, their "additive_terms" and
    "multiplicative_terms", and "correction"; `trend * (1 + multiplicative_terms) + additive_terms + correction` is
    the forecast. A mix adds "local": what its path adds to its long run. A naive has "trend" and "season".

    Raises:
        ForecastError, MissingRegressor: as `forecast` does.
    """
    timestamps = _timestamps(loaded.model, period, start, frequency)
    with np.errstate(all="ignore"):
        return loaded.model.parameters.components(timestamps, loaded.model.timeline, regressors)


def _timestamps(model: FittedModel, period: int, start: int | None, frequency: str | None) -> Ints:
    timeline = model.timeline
    # The first question spares most callers the second, which takes ten times as long.
    if type(period) is not int and not isinstance(period, Integral):
        raise ForecastError(f"period must be a whole number from 1 to {MAX_STEPS}, not {period!r}", "period")
    skipped = 0 if start is None else _steps_before(timeline, start)
    _check_reach(period, skipped + period)
    if frequency is None or frequency == timeline.frequency:
        timestamps = future(timeline, skipped, int(period))
    else:
        _check_frequency(timeline, frequency)
        first = None if start is None else int(future(timeline, skipped, 1)[0])
        timestamps = coarser_future(timeline, frequency, first, int(period))
        _check_reach(period, int(timestamps[-1] - timeline.end) // timeline.seconds)
    if timestamps.item(-1) > _LATEST:
        raise ForecastError("a forecast ends in the year 9999 at the latest, as calendars do", "period")
    return timestamps


def _check_reach(period: int, steps: int) -> None:
    if period < 1 or steps > MAX_STEPS:
        raise ForecastError(
            f"a forecast may end 1 to {MAX_STEPS} steps after the training data, not {steps}", "period"
        )


def _check_frequency(timeline: Timeline, frequency: str) -> None:
    coarser = COARSER.get(timeline.frequency, ())
    if frequency not in coarser:
        others = f", or {' or '.join(coarser)}" if coarser else ""
        raise ForecastError(
            f"frequency must be {timeline.frequency}, the series' own{others}, not {frequency}", "frequency"
        )


def _evaluate(
    model: FittedModel, timestamps: Ints, interval: float, regressors: Mapping[str, Floats]
) -> tuple[Floats, Floats, Floats]:
    parameters, timeline = model.parameters, model.timeline
    # Parameters may be finite and yet of a size whose product is not.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        yhat = parameters.predict(timestamps, timeline, regressors)
        lower, upper = parameters.bounds(timestamps, yhat, timeline, interval)
        # A sum of products is finite only if everything in it is, and it costs a fifth of asking each.
        size = float(lower.dot(upper))
    if not math.isfinite(size):
        raise BadParameters("the model's parameters lead to a forecast that is not a number")
    return yhat, lower, upper


def _steps_before(timeline: Timeline, start: int) -> int:
    if not isinstance(start, Integral):
        raise ForecastError(f"start must be a whole number of seconds since 1970, not {start!r}", "start")
    if start <= timeline.end:
        raise ForecastError(
            f"start must lie after the end of the training data, which is {iso_time(timeline.end)}", "start"
        )
    # In Python's numbers, which have no end as 64 bits have.
    steps = (int(start) - timeline.end) // timeline.seconds
    if steps > MAX_STEPS:
        raise ForecastError(
            f"start lies {steps} steps after the training data; at most {MAX_STEPS} are possible",
            "start",
        )
    return timeline.step_at(int(start)) - 1
