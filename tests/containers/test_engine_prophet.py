"""Prophet's models evaluated with numpy alone, held against Prophet itself."""

import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tests.containers.engine_support import DAY, HOUR, START, consumption, regular, stock_forecast

from fleetcast_engine import ProphetOptions, Series, fit
from fleetcast_engine.choice.tuning import corrected
from fleetcast_engine.errors import FitFailed
from fleetcast_engine.prophet.options import Holidays, Mode
from fleetcast_engine.prophet.stock import fit_prophet, fit_stock, parameters_of


def with_gap() -> Series:
    """Return two winters with the year between them missing."""
    days = np.r_[np.arange(120), np.arange(485, 600)]
    timestamps = START + DAY * days
    return Series.from_arrays("meter-7", timestamps, consumption(timestamps))


SHAPES: list[tuple[str, Series, Mode, set[str]]] = [
    ("three years of days", regular(1100), "additive", {"yearly", "weekly"}),
    ("three years of days, multiplicative", regular(1100), "multiplicative", {"yearly", "weekly"}),
    ("a month of hours", regular(720, HOUR), "additive", {"weekly", "daily"}),
    ("fewer rows than changepoints", regular(20), "additive", {"weekly"}),
    ("too short for any season", regular(9), "additive", set()),
    ("two rows", regular(2), "additive", set()),
    ("a gap of a year", with_gap(), "additive", {"weekly"}),
    (
        "constant",
        Series.from_arrays("c", START + DAY * np.arange(60), np.full(60, 5.0)),
        "additive",
        {"weekly"},
    ),
    ("zeros", Series.from_arrays("c", START + DAY * np.arange(60), np.zeros(60)), "additive", {"weekly"}),
]


@pytest.mark.parametrize(("series", "mode", "seasons"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_the_forecast_is_prophets_own(series: Series, mode: Mode, seasons: set[str]) -> None:
    prophet = fit_stock(series, mode)
    model = parameters_of(prophet, len(series))
    timestamps = np.r_[series.timestamps, series.timeline.future(400)]

    ours = model.predict(timestamps, series.timeline)

    stock = stock_forecast(prophet, timestamps).yhat.to_numpy()
    np.testing.assert_allclose(ours, stock, rtol=1e-9, atol=1e-12)
    assert {seasonality.name for seasonality in model.seasonalities} == seasons


@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_the_interval_is_as_wide_as_prophets_simulation(mode: Mode) -> None:
    series = regular(400)
    prophet = fit_stock(series, mode)
    future = series.timeline.future(60)
    prophet.uncertainty_samples = 4000
    np.random.seed(0)  # noqa: NPY002 - Prophet draws from the global generator

    stock = stock_forecast(prophet, future)
    deviation = parameters_of(prophet, len(series)).deviation(future, series.timeline)

    widths = (stock.yhat_upper - stock.yhat_lower).to_numpy()
    np.testing.assert_allclose(2 * 1.2815515655446004 * deviation, widths, rtol=0.08)


def test_a_forecast_of_one_step_has_prophets_width() -> None:
    series = regular(400)
    prophet = fit_stock(series)
    future = series.timeline.future(1)
    prophet.uncertainty_samples = 20_000
    np.random.seed(0)  # noqa: NPY002 - Prophet draws from the global generator

    stock = stock_forecast(prophet, future)
    deviation = parameters_of(prophet, len(series)).deviation(future, series.timeline)

    width = float((stock.yhat_upper - stock.yhat_lower).iloc[0])
    assert 2 * 1.2815515655446004 * deviation[0] == pytest.approx(width, rel=0.03)


def test_the_correction_is_the_mean_of_the_last_residuals() -> None:
    """Half of the weight lies on the newest three steps, a quarter on the three before, and so on."""
    series = regular(60)
    model = fit_prophet(series)
    residuals = series.values - model.predict(series.timestamps, series.timeline)

    correction = corrected(model, series).correction

    weights = 0.5 ** (np.arange(60)[::-1] / 3)
    # Rows of long ago, which have hardly any weight, may be left out.
    assert correction == pytest.approx(np.average(residuals, weights=weights), rel=0.01)
    moved = replace(model, correction=correction)
    future = series.timeline.future(5)
    shift = moved.predict(future, series.timeline) - model.predict(future, series.timeline)
    np.testing.assert_allclose(shift, correction)


def test_fitting_is_silent_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    fit_prophet(regular(30))

    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_one_row_cannot_be_fitted() -> None:
    with pytest.raises(FitFailed, match="Prophet could not fit 1 rows: Dataframe has less than 2"):
        fit_prophet(regular(2).head(1))


def test_the_same_series_gives_the_same_parameters() -> None:
    first, second = fit_prophet(regular(60)), fit_prophet(regular(60))

    assert (first.k, first.m, first.sigma) == (second.k, second.m, second.sigma)
    assert first.beta.tolist() == second.beta.tolist()


def test_the_engine_is_imported_without_prophet_and_pandas() -> None:
    code = "import sys, fleetcast_engine; print(sorted({'prophet', 'pandas', 'boto3'} & set(sys.modules)))"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


def test_a_holiday_falls_on_its_own_day_where_rows_have_wall_clock_times() -> None:
    """With times in UTC, a midnight in Berlin would be a row of the day before."""
    pandas = import_module("pandas")
    midnights = pandas.date_range("2024-01-01", "2025-12-31", tz="Europe/Berlin")
    on_may_day = np.asarray((midnights.month == 5) & (midnights.day == 1))
    values = 100 + 5 * np.sin(np.arange(len(midnights))) - 80 * on_may_day
    local = pandas.Series(midnights).dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    series = Series.from_arrays("c", local, values)
    may_day = Holidays("May Day", ("2024-05-01", "2025-05-01"))

    model = fit(series, ProphetOptions(holidays=(may_day,))).model
    effect = model.components(series.timestamps, series.timeline)["May Day"]

    assert (effect[on_may_day] < -60).all()
    assert (effect[~on_may_day] == 0).all()
