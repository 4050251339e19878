"""Which model a customer gets: the candidate with the smallest error on days it had not seen."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fleetcast_engine.choice.naive import NaiveModel, fit_naive
from fleetcast_engine.errors import FitFailed, TooShort
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats, Ints
from fleetcast_engine.model import (
    PROPHET,
    PROPHET_CORRECTED,
    SEASONAL_NAIVE,
    FittedModel,
    Metrics,
    Parameters,
)
from fleetcast_engine.prophet.fitting import MAP, Engine, fit
from fleetcast_engine.prophet.model import ProphetModel

# Two rows to fit on and one to test on.
MINIMUM_ROWS = 3
# Steps after which a residual counts half: Prophet mostly gets the level of the last days wrong.
_CORRECTION_HALF_LIFE = 3.0


@dataclass(frozen=True)
class TrainSettings:
    """How a model is chosen.

    Attributes:
        run_id: the run that the model will belong to.
        horizon: rows to forecast from each origin of the backtest; fewer where the history is short.
        origins: how many cuts of the history the candidates are compared at.
        trained_at: seconds since 1970 in UTC.
        engine: "map" for the exact maximum of Prophet's posterior, "prophet" for Prophet's own optimiser.
    """

    run_id: str = ""
    horizon: int = 28
    origins: int = 1
    trained_at: int = field(default_factory=lambda: int(time.time()))
    engine: Engine = MAP


@dataclass(frozen=True)
class _Backtest:
    errors: Mapping[str, float]
    origins: int
    timestamps: Ints
    naive_residuals: Floats
    remark: str | None

    def winner(self) -> str:
        # A tie goes to the naive, and so does an error that is not a number.
        better = {
            family: error for family, error in self.errors.items() if error < self.errors[SEASONAL_NAIVE]
        }
        return min(better, key=lambda family: better[family], default=SEASONAL_NAIVE)


def train(series: Series, settings: TrainSettings) -> FittedModel:
    """Return the best model for a customer; never one that lost to the seasonal naive.

    Raises:
        TooShort: there are not enough rows to fit a model and to test it.
    """
    season = series.timeline.season(int(series.timestamps[0]))
    horizon = _backtest_horizon(len(series), season, settings.horizon)
    backtest = _run_backtest(series, season, horizon, settings)
    family, parameters, engine, remark = _fit_family(series, backtest, season, settings.engine)
    return FittedModel(
        customer_id=series.customer_id,
        run_id=settings.run_id,
        family=family,
        parameters=parameters,
        timeline=series.timeline,
        training_start=int(series.timestamps[0]),
        trained_at=settings.trained_at,
        horizon=horizon,
        metrics=Metrics(backtest.errors[family], backtest.errors[SEASONAL_NAIVE], backtest.origins),
        nonnegative=series.nonnegative,
        remark=remark,
        engine=engine,
    )


def _backtest_horizon(rows: int, season: int, horizon: int) -> int:
    if rows < MINIMUM_ROWS:
        raise TooShort(f"{rows} valid rows; a model needs at least {MINIMUM_ROWS}")
    return max(1, min(horizon, rows - season, rows // 2))


def _run_backtest(series: Series, season: int, horizon: int, settings: TrainSettings) -> _Backtest:
    errors: dict[str, list[Floats]] = {PROPHET: [], PROPHET_CORRECTED: [], SEASONAL_NAIVE: []}
    remark = None
    cuts = list(_cuts(len(series), max(season, 2), horizon, settings.origins))
    for cut in cuts:
        past, actual = series.head(cut), series.values[cut : cut + horizon]
        when = series.timestamps[cut : cut + horizon]
        candidates: dict[str, Parameters] = {SEASONAL_NAIVE: fit_naive(past, season)}
        try:
            prophet = fit(past, engine=settings.engine).model
        except FitFailed as error:
            remark = str(error)
        else:
            candidates |= {PROPHET: prophet, PROPHET_CORRECTED: corrected(prophet, past)}
        for family, parameters in candidates.items():
            predicted = parameters.predict(when, past.timeline)
            errors[family].append(actual - (np.maximum(predicted, 0) if series.nonnegative else predicted))
    whole = {family: np.concatenate(e) for family, e in errors.items() if len(e) == len(cuts)}
    mae = {family: float(np.abs(e).mean()) for family, e in whole.items()}
    return _Backtest(mae, len(cuts), when, errors[SEASONAL_NAIVE][-1], remark)


def _cuts(rows: int, minimum: int, horizon: int, origins: int) -> Iterator[int]:
    """Yield the rows before each origin; the last origin always fits, older ones where history allows."""
    for origin in range(origins, 0, -1):
        cut = rows - origin * horizon
        if cut >= minimum or origin == 1:
            yield cut


def _fit_family(
    series: Series, backtest: _Backtest, season: int, engine: Engine
) -> tuple[str, Parameters, str | None, str | None]:
    family, remark = backtest.winner(), backtest.remark
    if family != SEASONAL_NAIVE:
        try:
            fitted = fit(series, engine=engine)
        except FitFailed as error:
            remark = str(error)
        else:
            model = fitted.model if family == PROPHET else corrected(fitted.model, series)
            return family, model, fitted.engine, remark
    return SEASONAL_NAIVE, _naive_with_spread(series, backtest, season), None, remark


def _naive_with_spread(series: Series, backtest: _Backtest, season: int) -> NaiveModel:
    past = series.head(len(series) - len(backtest.timestamps))
    naive = fit_naive(past, season).with_spread_of(
        backtest.timestamps, backtest.naive_residuals, past.timeline
    )
    return replace(fit_naive(series, season), sigma=naive.sigma)


def corrected(prophet: ProphetModel, series: Series) -> ProphetModel:
    """Return the model moved by what it missed at the end of the series, recent rows counting most."""
    residuals = series.values - prophet.predict(series.timestamps, series.timeline)
    age = (series.timeline.end - series.timestamps) / series.timeline.seconds
    return replace(
        prophet, correction=float(np.average(residuals, weights=0.5 ** (age / _CORRECTION_HALF_LIFE)))
    )
