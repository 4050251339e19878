"""Fitting by stock Prophet, held quiet and made to leave nothing behind."""

import logging
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from fleetcast_engine.errors import FitFailed
from fleetcast_engine.history.series import Series
from fleetcast_engine.prophet.model import ProphetModel, Seasonality
from fleetcast_engine.prophet.options import Mode, ProphetOptions


def fit_prophet(
    series: Series, mode: Mode | None = None, options: ProphetOptions | None = None
) -> ProphetModel:
    """Fit stock Prophet; `mode` alone is short for options with that seasonality.

    Raises:
        FitFailed: its optimiser found nothing.
    """
    prophet = fit_stock(series, mode, options)
    model = parameters_of(prophet, len(series))
    if not all(
        np.isfinite(values).all() for values in (model.k, model.m, model.delta, model.beta, model.sigma)
    ):
        raise FitFailed("Prophet's optimiser ended at parameters that are not numbers")
    return model


def fit_stock(series: Series, mode: Mode | None = None, options: ProphetOptions | None = None) -> Any:
    """Return the fitted `prophet.Prophet` itself.

    Raises:
        FitFailed: its optimiser found nothing.
    """
    options = options or ProphetOptions(seasonality_mode=mode or "additive")
    prophet_class, data_frame = import_prophet()
    history = data_frame({"ds": series.timestamps.astype("datetime64[s]"), "y": series.values})
    prophet = prophet_class(uncertainty_samples=0, **options.arguments())
    with tempfile.TemporaryDirectory(prefix="fleetcast-fit-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        try:
            prophet.fit(history, output_dir=scratch, seed=1)
        except (RuntimeError, ValueError, ArithmeticError) as error:
            first_line = str(error).strip().splitlines() or [type(error).__name__]
            raise FitFailed(f"Prophet could not fit {len(series)} rows: {first_line[0]}") from error
    return prophet


def import_prophet() -> tuple[Any, Any]:
    """Return the classes `Prophet` and `DataFrame`; the first call takes seconds."""
    # Here and not above: serving imports this package and must not pay for, or even have, Prophet and pandas.
    _silence()
    from pandas import DataFrame  # noqa: PLC0415
    from prophet import Prophet  # noqa: PLC0415

    _silence()  # again, because importing Prophet sets its own log level
    return Prophet, DataFrame


def _silence() -> None:
    for name in ("prophet", "prophet.plot", "cmdstanpy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # cmdstanpy adds a handler of its own unless it finds one.
    logging.getLogger("cmdstanpy").addHandler(logging.NullHandler())


def parameters_of(prophet: Any, rows: int) -> ProphetModel:
    """Return what a fitted `prophet.Prophet` needs for forecasting."""
    start, params = prophet.start, prophet.params
    # A flat trend takes no notice of its slope, which the optimiser leaves somewhere.
    flat = prophet.growth == "flat"
    # Where there is no room for changepoints Prophet keeps one at the start that changes nothing.
    changepoints = list(prophet.changepoints) or [start]
    return ProphetModel(
        start=int(start.timestamp()),
        span=int(prophet.t_scale.total_seconds()),
        rows=rows,
        scale=float(prophet.y_scale),
        k=0.0 if flat else params["k"].item(),
        m=params["m"].item(),
        changepoints=np.array([int(moment.timestamp()) for moment in changepoints], np.int64),
        delta=np.zeros(len(changepoints)) if flat else np.asarray(params["delta"], np.float64).reshape(-1),
        seasonalities=tuple(_seasonality(name, props) for name, props in prophet.seasonalities.items()),
        beta=_beta(prophet),
        sigma=params["sigma_obs"].item(),
    )


def _seasonality(name: str, props: Mapping[str, Any]) -> Seasonality:
    return Seasonality(
        name, float(props["period"]), int(props["fourier_order"]), props["mode"] == "multiplicative"
    )


def _beta(prophet: Any) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    # Without any seasonality Prophet fits one dummy column of zeros, which means nothing.
    if not prophet.seasonalities:
        return np.zeros(0)
    return np.asarray(prophet.params["beta"], np.float64).reshape(-1)
