"""Asking a loaded model for the future; numpy is all it takes."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from fleetcast_engine.errors import BadParameters, ForecastError
from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.model import FittedModel, LoadedModel

# Eleven years of hours. Beyond it an answer means nothing and its memory begins to count.
MAX_STEPS = 100_000
_BEYOND_REASON = 1e300


@dataclass(frozen=True)
class Forecast:
    """A forecast at consecutive timestamps, with bounds that hold the truth with probability `interval`."""

    timestamps: Ints
    yhat: Floats
    lower: Floats
    upper: Floats
    interval: float


def forecast(loaded: LoadedModel, period: int, start: int | None = None, interval: float = 0.8) -> Forecast:
    """Forecast `period` steps of the series' own frequency.

    Args:
        loaded: the customer's model.
        period: how many steps.
        start: seconds since 1970 in UTC; the first step at or after it begins the answer. By default the
            answer begins right after the training data.
        interval: probability that the truth lies between lower and upper, between 0 and 1.

    Raises:
        BadParameters: the model is broken in a way that only shows now.
        ForecastError: the answer would be empty, would lie in the past, or would reach too far.
    """
    model = loaded.model
    if not 0 < interval < 1:
        raise ForecastError(f"interval must lie between 0 and 1, not {interval}")
    skipped = _steps_before(loaded, start)
    if period < 1 or skipped + period > MAX_STEPS:
        raise ForecastError(
            f"a forecast may end 1 to {MAX_STEPS} steps after the training data, not {skipped + period}"
        )
    timestamps = model.timeline.future(skipped + period)
    yhat, deviation = _evaluate(model, timestamps, skipped)
    margin = NormalDist().inv_cdf((1 + interval) / 2) * deviation
    floor = 0.0 if model.nonnegative else -np.inf
    lower, yhat, upper = (np.maximum(values, floor) for values in (yhat - margin, yhat, yhat + margin))
    return Forecast(timestamps[skipped:], yhat, lower, upper, interval)


def _evaluate(model: FittedModel, timestamps: Ints, skipped: int) -> tuple[Floats, Floats]:
    # Parameters may be finite and yet of a size whose product is not.
    with np.errstate(over="ignore", invalid="ignore"):
        yhat = model.parameters.predict(timestamps[skipped:], model.timeline)
        deviation = model.parameters.deviation(timestamps, model.timeline)[skipped:]
    if not (np.abs(yhat) < _BEYOND_REASON).all() or not (deviation < _BEYOND_REASON).all():
        raise BadParameters("the model's parameters lead to a forecast that is not a number")
    return yhat, deviation


def _steps_before(loaded: LoadedModel, start: int | None) -> int:
    timeline = loaded.model.timeline
    if start is None:
        return 0
    if start <= timeline.end:
        raise ForecastError("start must lie after the end of the training data")
    steps = int(timeline.steps_to(np.array([start], np.int64))[0])
    if steps > MAX_STEPS:
        raise ForecastError(
            f"start lies {steps} steps after the training data; at most {MAX_STEPS} are possible"
        )
    # Rounding may have gone one step too far in either direction.
    return int(np.searchsorted(timeline.future(steps + 2), start))
