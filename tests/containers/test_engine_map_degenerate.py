"""Series that hardly are any: whatever Prophet does with them, a number or an error, the engine does too."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.containers.engine_support import DAY, START, Floats, Ints, consumption, regular
from tests.containers.posterior import log_posterior, stan_data
from tests.containers.prophet_features import FAIR, FEAST, driven, known, with_regressors

from fleetcast_engine import ProphetOptions, Series, fit
from fleetcast_engine.errors import EngineError, FitFailed
from fleetcast_engine.history.timeline import find_timeline
from fleetcast_engine.prophet.exact import fit_map
from fleetcast_engine.prophet.fitting import MAP, STOCK
from fleetcast_engine.prophet.options import ExtraRegressor

ALLOWANCE = 1e-6
KINDS = {
    "additive": ProphetOptions(),
    "multiplicative": ProphetOptions(seasonality_mode="multiplicative"),
    "flat": ProphetOptions(growth="flat"),
}


def as_it_is(timestamps: Any, values: Any) -> Series:
    """Return a series of values that reading one would have dropped."""
    when, what = np.asarray(timestamps, np.int64), np.asarray(values, np.float64)
    return Series("meter-7", when, what, find_timeline(when))


DAYS = DAY * np.arange(200, dtype=np.int64)
NOISE = np.random.default_rng(1).normal(5, 1, 200)
YEAR = 31_557_600
SERIES: dict[str, Series] = {
    "two rows": as_it_is([0, DAY], [1, 2]),
    "two equal rows": as_it_is([0, DAY], [2, 2]),
    "three rows": as_it_is([0, DAY, 2 * DAY], [1, 2, 4]),
    "a constant": as_it_is(DAYS[:30], np.full(30, 5.0)),
    "zeros": as_it_is(DAYS[:30], np.zeros(30)),
    "a line": as_it_is(DAYS[:12], np.arange(12)),
    "a line but for rounding": as_it_is(DAYS[:13], 0.1 * np.arange(13) + 0.3),
    "a sinusoid": as_it_is(DAYS[:21], 10 + np.sin(2 * np.pi * np.arange(21) / 7)),
    "fewer rows than changepoints": as_it_is(DAYS[:12], NOISE[:12]),
    "one value a year": as_it_is(YEAR * np.arange(8), NOISE[:8]),
    "thirty values, one a year": as_it_is(YEAR * np.arange(30), NOISE[:30]),
    "a value a second": as_it_is(np.arange(200), NOISE),
    "before 1970": as_it_is(DAYS - 2_000_000_000, NOISE),
    "the year 1700": as_it_is(DAYS - 8_300_000_000, NOISE),
    "after 2100": as_it_is(DAYS + 4_200_000_000, NOISE),
    "the year 2250": as_it_is(DAYS + 8_800_000_000, NOISE),
    "1e300": as_it_is(DAYS, 1e300 * NOISE),
    "too large to be added up": as_it_is(DAYS, 1e307 * NOISE),
    "1e-300": as_it_is(DAYS, 1e-300 * NOISE),
    "the smallest number there is": as_it_is(DAYS, 5e-324 * np.round(NOISE)),
    "all negative": as_it_is(DAYS, -NOISE),
    "one spike": as_it_is(DAYS, np.where(DAYS == 100 * DAY, 1e15, 1.0)),
    "two values in turn": as_it_is(DAYS, np.arange(200) % 2),
    "one step": as_it_is(DAYS, np.arange(200) > 99),
    "a gap of a century": as_it_is(np.r_[DAYS[:50], 3_200_000_000], NOISE[:51]),
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("series", SERIES.values(), ids=SERIES)
def test_what_prophet_can_fit_is_fitted_as_well(series: Series, options: ProphetOptions) -> None:
    stock = fit(series, options, engine=STOCK).model

    ours = fit(series, options)

    future = series.timeline.future(30)
    with np.errstate(over="ignore"):  # thirty years of a trend of 1e307
        forecast, stocks = (model.predict(future, series.timeline) for model in (ours.model, stock))
        width = ours.model.deviation(future, series.timeline)
    assert np.isfinite(forecast).tolist() == np.isfinite(stocks).tolist()
    assert not np.isnan(width).any()
    if ours.engine == STOCK:
        assert ours.declined is not None
        assert forecast.tolist() == stocks.tolist()
    elif series.values.min() < series.values.max():
        data = stan_data(series, options)
        assert log_posterior(ours.model, data) >= log_posterior(stock, data) - ALLOWANCE


@pytest.mark.parametrize("engine", [MAP, STOCK])
def test_one_row_is_an_error(engine: Any) -> None:
    with pytest.raises(FitFailed, match="less than 2"):
        fit(as_it_is([0], [1.0]), engine=engine)


def test_rows_within_one_second_are_one_row() -> None:
    """Time is counted in whole seconds; of rows a microsecond apart the last of each second counts."""
    microseconds = np.arange(5_000_000, step=50_000)
    values = np.arange(100.0)

    series = Series.from_arrays("meter-7", START + microseconds // 1_000_000, values)

    assert series.values.tolist() == [19.0, 39.0, 59.0, 79.0, 99.0]
    assert np.isfinite(fit(series).model.predict(series.timeline.future(3), series.timeline)).all()


def test_a_million_rows_are_fitted_in_little_memory() -> None:
    timestamps = START + 60 * np.arange(1_000_000, dtype=np.int64)
    rng = np.random.default_rng(4)
    values = 50 + 10 * np.sin(2 * np.pi * timestamps / DAY) + rng.normal(0, 2, len(timestamps))
    series = as_it_is(timestamps, values)

    fitted = fit(series)

    assert fitted.engine == MAP
    assert fitted.model.sigma * fitted.model.scale == pytest.approx(2, rel=0.005)
    daily = fitted.model.seasonalities[-1]
    assert (daily.name, fitted.model.beta[-8] * fitted.model.scale) == ("daily", pytest.approx(10, rel=0.002))


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e9, 1e300, 1e308])
@pytest.mark.parametrize("standardize", [True, False])
def test_regressors_of_any_size_give_a_model_or_an_error(size: float, standardize: bool) -> None:  # noqa: FBT001
    series = regular(120)
    values = np.random.default_rng(2).normal(0.5, 0.1, 120) * size
    options = ProphetOptions(regressors=(ExtraRegressor("r", values, standardize=standardize),))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stock Prophet's own arithmetic overflows
        try:
            model = fit(series, options).model
        except EngineError:
            return
        forecast = model.predict(series.timestamps, series.timeline, {"r": values})
    assert np.isfinite(forecast).all()
    np.testing.assert_allclose(forecast, series.values, atol=60)


def shuffled(series: Series, seed: int) -> Series:
    order = np.random.default_rng(seed).permutation(len(series))
    return Series.from_arrays(series.customer_id, series.timestamps[order], series.values[order])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 300), st.integers(0, 10**6))
def test_the_order_of_the_rows_changes_nothing(rows: int, seed: int) -> None:
    series = regular(rows, seed=seed)

    one, other = fit(series).model, fit(shuffled(series, seed)).model

    assert (one.k, one.m, one.sigma, one.delta.tolist()) == (
        other.k,
        other.m,
        other.sigma,
        other.delta.tolist(),
    )
    assert one.beta.tobytes() == other.beta.tobytes()


def everything(series: Series) -> ProphetOptions:
    options = ProphetOptions(holidays=(FEAST, FAIR), holidays_mode="multiplicative")
    return with_regressors(options, series, temperature="multiplicative", discount="additive")


def forecast_of(series: Series, options: ProphetOptions, when: Ints, ahead: dict[str, Floats]) -> Floats:
    return fit_map(series, options).predict(when, series.timeline, ahead)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-12, 1e-3, 0.3, 7.0, 1e12]))
def test_scaling_the_values_scales_the_forecast_of_every_kind(seed: int, factor: float) -> None:
    series = driven(300, multiplied=True)
    noise = np.random.default_rng(seed).normal(0, 1, len(series))
    noisy = replace(series, values=series.values + noise)
    scaled = replace(noisy, values=noisy.values * factor)
    future, options = series.timeline.future(20), everything(series)

    one, other = (forecast_of(each, options, future, known(future)) for each in (noisy, scaled))

    np.testing.assert_allclose(one * factor, other, rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(-400, 400))
def test_moving_everything_by_whole_weeks_moves_the_forecast_of_every_kind(seed: int, weeks: int) -> None:
    """Weeks and days look the same from there; holidays and regressors move along."""
    shift = weeks * 7 * DAY
    series = driven(300)
    noisy = replace(series, values=series.values + np.random.default_rng(seed).normal(0, 1, len(series)))
    moved = as_it_is(noisy.timestamps + shift, noisy.values)
    options, future = everything(noisy), series.timeline.future(20)
    later = replace(
        options,
        holidays=tuple(
            replace(
                holiday,
                dates=tuple(str(np.datetime64(date, "D") + weeks * 7) for date in holiday.dates),
            )
            for holiday in options.holidays
        ),
    )

    one = forecast_of(noisy, options, future, known(future))
    other = forecast_of(moved, later, future + shift, known(future))

    np.testing.assert_allclose(one, other, rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_unit_of_a_standardized_regressor_does_not_matter(size: float, origin: float) -> None:
    """Degrees of Fahrenheit forecast what degrees of Celsius do."""
    series = driven(200)
    future = series.timeline.future(20)
    answers = []
    for scale, start in ((1.0, 0.0), (size, origin)):
        values, ahead = (
            start + scale * known(moments)["temperature"] for moments in (series.timestamps, future)
        )
        options = ProphetOptions(regressors=(ExtraRegressor("temperature", values),))
        answers.append(forecast_of(series, options, future, {"temperature": ahead}))

    np.testing.assert_allclose(*answers, rtol=1e-6)


def test_neither_the_order_of_holidays_nor_of_their_dates_matters() -> None:
    series = driven(200)
    turned = replace(FEAST, dates=FEAST.dates[::-1])

    one, other = (
        fit_map(series, ProphetOptions(holidays=given)) for given in ((FEAST, FAIR), (FAIR, turned))
    )

    assert one.holidays == other.holidays
    assert one.beta.tobytes() == other.beta.tobytes()


def test_repeated_values_of_consumption_are_no_obstacle() -> None:
    values = np.round(consumption(START + DAYS) / 50) * 50

    assert fit(as_it_is(START + DAYS, values)).engine == MAP
