"""Fitting by stock Prophet, held quiet and made to leave nothing behind."""

import logging
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from fleetcast_engine.errors import FitFailed
from fleetcast_engine.history.series import Series
from fleetcast_engine.history.timeline import Floats
from fleetcast_engine.prophet.design import holiday_columns, holiday_table
from fleetcast_engine.prophet.model import Holiday, ProphetModel, Regressor, Seasonality, known_values
from fleetcast_engine.prophet.options import Mode, ProphetOptions, moments_of

# Options that are methods or columns of the data frame in Prophet, or need another shape.
_NOT_ARGUMENTS = frozenset({"changepoints", "seasonalities", "holidays", "regressors", "cap", "floor"})
# One chain after the other: a worker has one core.
_SAMPLING = {"show_progress": False, "parallel_chains": 1}


def fit_prophet(
    series: Series, mode: Mode | None = None, options: ProphetOptions | None = None
) -> ProphetModel:
    """Fit stock Prophet; `mode` alone is short for options with that seasonality.

    Where it samples the posterior, the model is the mean of the samples, as it is in Prophet's own forecast.

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
    prophet, history = unfitted(series, options or ProphetOptions(seasonality_mode=mode or "additive"))
    with tempfile.TemporaryDirectory(prefix="fleetcast-fit-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's use of pandas is not ours to mend
        try:
            prophet.fit(history, output_dir=scratch, seed=1, **_SAMPLING if prophet.mcmc_samples else {})
        except (RuntimeError, ValueError, ArithmeticError) as error:
            first_line = str(error).strip().splitlines() or [type(error).__name__]
            raise FitFailed(f"Prophet could not fit {len(series)} rows: {first_line[0]}") from error
    return prophet


def unfitted(series: Series, options: ProphetOptions) -> tuple[Any, Any]:
    """Return the `prophet.Prophet` of the options, and the data frame to fit it on.

    Raises:
        MissingRegressor: a regressor does not have one value for each row.
    """
    prophet_class, data_frame = import_prophet()
    history = data_frame({"ds": series.timestamps.astype("datetime64[s]"), "y": series.values})
    given = {name: value for name, value in vars(options).items() if name not in _NOT_ARGUMENTS}
    if options.changepoints is not None:
        moments = moments_of(options.changepoints, "changepoints")
        given["changepoints"] = moments.astype("datetime64[s]")
    if options.holidays:
        given["holidays"] = data_frame(_holiday_rows(options))
    prophet = prophet_class(uncertainty_samples=0, **given)
    for seasonality in options.seasonalities:
        prophet.add_seasonality(**vars(seasonality))
    for regressor in options.regressors:
        properties = dict(vars(regressor))
        values = properties.pop("values")
        history[regressor.name] = known_values(regressor.name, series.timestamps, {regressor.name: values})
        prophet.add_regressor(**properties)
    for name in ("cap", "floor"):
        if getattr(options, name) is not None:
            history[name] = getattr(options, name)
    return prophet, history


def _holiday_rows(options: ProphetOptions) -> list[dict[str, Any]]:
    scales = {given.name: given.prior_scale or options.holidays_prior_scale for given in options.holidays}
    return [
        {
            "holiday": name,
            "ds": np.datetime64(day, "D"),
            "lower_window": lower,
            "upper_window": upper,
            "prior_scale": scales[name],
        }
        for name, day, lower, upper in holiday_table(options.holidays)
    ]


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
    """Return what a fitted `prophet.Prophet` needs for forecasting; the mean where it has samples."""
    start = prophet.start
    # A flat trend takes no notice of its slope, which the optimiser leaves somewhere.
    flat = prophet.growth == "flat"
    # Where there is no room for changepoints Prophet keeps one at the start that changes nothing.
    changepoints = sorted(prophet.changepoints) or [start]
    logistic = prophet.growth == "logistic"
    return ProphetModel(
        start=int(start.timestamp()),
        span=int(prophet.t_scale.total_seconds()),
        rows=rows,
        scale=float(prophet.y_scale),
        k=0.0 if flat else float(_mean(prophet, "k")[0]),
        m=float(_mean(prophet, "m")[0]),
        changepoints=np.array([int(moment.timestamp()) for moment in changepoints], np.int64),
        delta=np.zeros(len(changepoints)) if flat else _mean(prophet, "delta"),
        seasonalities=tuple(_seasonality(name, props) for name, props in prophet.seasonalities.items()),
        beta=_beta(prophet),
        sigma=float(_mean(prophet, "sigma_obs")[0]),
        growth=prophet.growth,
        cap=float(prophet.history.cap.iloc[0]) if logistic else 0.0,
        floor=float(prophet.history.floor.iloc[0]) if logistic else 0.0,
        holidays=_holidays(prophet),
        regressors=tuple(
            Regressor(name, props["mu"], props["std"], props["mode"] == "multiplicative")
            for name, props in prophet.extra_regressors.items()
        ),
    )


def _mean(prophet: Any, name: str) -> Floats:
    samples = np.asarray(prophet.params[name], np.float64)
    return samples.reshape(len(samples), -1).mean(axis=0) if prophet.mcmc_samples else samples.reshape(-1)


def _seasonality(name: str, props: Mapping[str, Any]) -> Seasonality:
    return Seasonality(
        name, float(props["period"]), int(props["fourier_order"]), props["mode"] == "multiplicative"
    )


def _holidays(prophet: Any) -> tuple[Holiday, ...]:
    if prophet.holidays is None:
        return ()
    days = prophet.holidays.ds.to_numpy("datetime64[D]").astype(np.int64).tolist()
    rows = prophet.holidays[["holiday", "lower_window", "upper_window"]].to_dict("list")
    table = zip(rows["holiday"], days, rows["lower_window"], rows["upper_window"], strict=True)
    return holiday_columns(table, multiplicative=prophet.holidays_mode == "multiplicative")


def _beta(prophet: Any) -> Floats:
    # Without any column Prophet fits a dummy one of zeros, which means nothing.
    if not prophet.seasonalities and prophet.holidays is None and not prophet.extra_regressors:
        return np.zeros(0)
    return _mean(prophet, "beta")
