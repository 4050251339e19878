"""Which model a customer gets, and what becomes of customers whose data is poor."""

import csv
import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pytest
from tests.containers.engine_support import DAY, HOUR, START, consumption, regular

from fleetcast_engine import FittedModel, Series, TrainSettings, forecast, pack, train, unpack
from fleetcast_engine.choice.naive import NaiveModel, fit_naive
from fleetcast_engine.errors import EngineError, TooShort

SETTINGS = TrainSettings(run_id="r20260131020000-0a1b2c", trained_at=1_769_824_800)


def daily(values: "np.ndarray[tuple[int], np.dtype[np.float64]] | list[float]") -> Series:
    return Series.from_arrays("meter-7", START + DAY * np.arange(len(values)), values)


def trained(series: Series, **settings: int) -> FittedModel:
    values = {"horizon": 28, "origins": 1, **settings}
    return train(series, TrainSettings(SETTINGS.run_id, trained_at=SETTINGS.trained_at, **values))


def test_a_series_that_prophet_understands_gets_prophet() -> None:
    model = trained(regular(372))

    assert model.family in {"prophet", "prophet_corrected"}
    assert 0 < model.metrics.mae < model.metrics.naive_mae
    assert (model.horizon, model.metrics.origins) == (28, 1)


def test_a_jump_at_the_end_is_repaired_by_the_correction() -> None:
    values = consumption(START + DAY * np.arange(300, dtype=np.int64))
    values[262:] += 30

    model = trained(daily(values))

    assert model.family == "prophet_corrected"


def test_a_series_that_repeats_itself_gets_the_naive() -> None:
    """Nothing beats an error of zero, and a tie is not a win."""
    model = trained(daily(np.tile([1.0, 5, 2, 8, 3, 9, 4], 20)))

    assert model.family == "seasonal_naive"
    assert model.metrics.mae == model.metrics.naive_mae == 0


def test_a_random_walk_gets_the_naive_whenever_prophet_loses() -> None:
    for seed in range(4):
        walk = 500 + np.random.default_rng(seed).normal(0, 5, 120).cumsum()
        metrics = trained(daily(walk)).metrics
        assert metrics.mae <= metrics.naive_mae


def test_several_origins_are_all_counted() -> None:
    assert trained(regular(150), origins=3).metrics.origins == 3


def test_origins_that_the_history_has_no_room_for_are_left_out() -> None:
    assert trained(regular(60), origins=50).metrics.origins == 1


@pytest.mark.parametrize(("rows", "horizon"), [(56, 28), (40, 20), (20, 10), (15, 7), (8, 4), (3, 1)])
def test_a_short_history_shrinks_the_backtest(rows: int, horizon: int) -> None:
    assert trained(regular(rows)).horizon == horizon


@pytest.mark.parametrize("rows", [1, 2])
def test_too_short_a_history_is_a_named_error(rows: int) -> None:
    with pytest.raises(TooShort, match=f"{rows} valid rows; a model needs at least 3"):
        trained(regular(2).head(rows))


DEGENERATE = {
    "constant": np.full(60, 5.0),
    "zeros": np.zeros(60),
    "three rows": np.array([1.0, 2, 3]),
    "negative": -consumption(START + DAY * np.arange(60, dtype=np.int64)),
    "line": np.arange(100.0),
    "sinusoid": 10 + np.sin(2 * np.pi * np.arange(200) / 7),
    "tiny": np.random.default_rng(0).random(60) * 1e-12,
    "huge": np.random.default_rng(0).random(60) * 1e14,
    "one spike": np.r_[np.zeros(50), 1e12, np.zeros(49)],
}


@pytest.mark.parametrize("values", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_degenerate_series_get_a_model_that_forecasts(
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> None:
    model = unpack(pack(trained(daily(values))))

    answer = forecast(model, 30)

    assert np.isfinite([answer.yhat, answer.lower, answer.upper]).all()
    assert (answer.lower <= answer.yhat).all()
    assert (answer.yhat <= answer.upper).all()


def test_a_gap_of_a_year_is_no_obstacle() -> None:
    days = np.r_[np.arange(100), np.arange(465, 565)]
    timestamps = START + DAY * days

    model = trained(Series.from_arrays("c", timestamps, consumption(timestamps)))

    assert model.timeline.frequency == "daily"
    assert model.metrics.mae <= model.metrics.naive_mae


def test_consumption_is_never_forecast_below_zero_unless_it_has_been() -> None:
    falling = np.linspace(50, 1, 120) + np.random.default_rng(0).normal(0, 0.3, 120)

    consumer = forecast(unpack(pack(trained(daily(falling)))), 200)
    producer = forecast(unpack(pack(trained(daily(falling - 40)))), 200)

    assert min(consumer.yhat.min(), consumer.lower.min()) >= 0
    assert producer.yhat.min() < 0


def test_the_naive_repeats_the_last_season() -> None:
    series = regular(24 * 21, HOUR)

    naive = fit_naive(series, 168)

    future = series.timeline.future(400)
    expected = np.resize(series.values[-168:], 400)
    assert naive.predict(future, series.timeline).tolist() == expected.tolist()


def test_the_naive_fills_a_gap_with_the_value_before_it() -> None:
    days = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13])
    series = Series.from_arrays("c", START + DAY * days, days.astype(float))

    naive = fit_naive(series, 7)

    assert naive.predict(series.timeline.future(7), series.timeline).tolist() == [7, 8, 2, 10, 11, 12, 13]


def test_the_naives_interval_is_measured_and_widens_with_each_season() -> None:
    """A walk of sevenths: the season one ahead errs by about the square root of seven."""
    walk = 1000 + np.random.default_rng(1).normal(0, 1, 400).cumsum()
    series = daily(walk)
    past = series.head(372)

    naive = fit_naive(past, 7)
    actual = series.timestamps[372:]
    measured = naive.with_spread_of(actual, walk[372:] - naive.predict(actual, past.timeline), past.timeline)

    deviation = measured.deviation(past.timeline.future(28), past.timeline)
    assert 0.5 < measured.sigma < 8
    np.testing.assert_allclose(deviation[[0, 7, 14, 21]] / measured.sigma, np.sqrt([1, 2, 3, 4]))


def test_a_naive_model_knows_its_spread_after_training() -> None:
    walk = 500 + np.random.default_rng(0).normal(0, 5, 120).cumsum()

    model = trained(daily(np.round(walk)), horizon=14)

    if isinstance(model.parameters, NaiveModel):
        assert model.parameters.sigma > 0
    assert forecast(unpack(pack(model)), 1).upper[0] > forecast(unpack(pack(model)), 1).lower[0]


def real_customers(path: Path) -> Iterator[Series]:
    with gzip.open(path, "rt") as file:
        for customer_id, rows in groupby(csv.DictReader(file), key=lambda row: row["customer_id"]):
            pairs = [(row["timestamp"], float(row["consumption"] or "nan")) for row in rows]
            moments = [int(datetime.fromisoformat(m).replace(tzinfo=UTC).timestamp()) for m, _ in pairs]
            yield Series.from_arrays(customer_id, moments, [value for _, value in pairs])


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["daily_households", "daily_cambridge", "hourly_cambridge"])
def test_real_customers_get_models_no_worse_than_the_naive(name: str) -> None:
    path = Path(os.environ["FLEETCAST_REALDATA"]) / f"{name}.csv.gz"
    for series in islice(real_customers(path), 6):
        try:
            model = trained(series)
        except EngineError as error:
            pytest.fail(f"{series.customer_id}: {error}")
        answer = forecast(unpack(pack(model)), 28)
        assert np.isfinite(answer.upper).all()
        assert model.metrics.mae <= model.metrics.naive_mae
