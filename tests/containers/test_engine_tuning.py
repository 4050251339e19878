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
from tests.containers.engine_support import DAY, HOUR, START, Floats, consumption, regular

from fleetcast_engine import FittedModel, Series, TrainSettings, forecast, pack, train, unpack
from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.choice.naive import NaiveModel, fit_naive
from fleetcast_engine.errors import EngineError, TooShort, UnknownFamily
from fleetcast_engine.prophet.model import ProphetModel

RUN = "r20260131020000-0a1b2c"


def daily(values: Floats | list[float]) -> Series:
    return Series.from_arrays("meter-7", START + DAY * np.arange(len(values)), values)


def trained(series: Series, **settings: int | str) -> FittedModel:
    return train(series, TrainSettings(RUN, trained_at=1_769_824_800, **settings))


def test_a_usual_customer_gets_the_mean_of_the_best_candidates() -> None:
    model = trained(regular(400))

    assert model.family == "mix"
    assert isinstance(model.parameters, MixModel)
    assert len(model.parameters.path) == model.horizon == 28
    assert 0 < model.metrics.mae < model.metrics.naive_mae
    assert model.metrics.origins == 39


def test_those_who_want_prophet_and_nothing_else_get_one_set_of_its_parameters() -> None:
    model = trained(regular(372), families="prophet")

    assert model.family in {"prophet", "prophet_corrected"}
    assert isinstance(model.parameters, ProphetModel)
    assert 0 < model.metrics.mae < model.metrics.naive_mae


def test_a_jump_at_the_end_is_repaired_by_the_correction() -> None:
    values = consumption(START + DAY * np.arange(300, dtype=np.int64))
    values[262:] += 30

    model = trained(daily(values), families="prophet")

    assert model.family == "prophet_corrected"


def test_stock_prophet_is_compared_at_two_origins_at_most() -> None:
    model = trained(regular(200), engine="prophet")

    assert model.family in {"prophet", "prophet_corrected"}
    assert (model.metrics.origins, model.engine) == (2, "prophet")


def test_a_series_that_repeats_itself_gets_the_naive() -> None:
    """Nothing beats an error of zero, and a tie is not a win."""
    model = trained(daily(np.tile([1.0, 5, 2, 8, 3, 9, 4], 20)))

    assert model.family == "seasonal_naive"
    assert model.metrics.mae == model.metrics.naive_mae == 0


def test_nobody_is_served_what_lost_to_the_naive() -> None:
    for seed in range(12):
        walk = 500 + np.random.default_rng(seed).normal(0, 5, 120).cumsum()
        metrics = trained(daily(walk)).metrics
        assert metrics.mae <= metrics.naive_mae


def test_the_number_of_origins_is_as_asked_and_half_as_many_older_ones() -> None:
    assert trained(regular(500), origins=4).metrics.origins == 6


def test_origins_that_the_history_has_no_room_for_are_left_out() -> None:
    assert trained(regular(60), origins=50).metrics.origins == 4


@pytest.mark.parametrize(("rows", "horizon"), [(56, 28), (40, 20), (20, 10), (15, 7), (8, 4), (3, 1)])
def test_a_short_history_shrinks_the_horizon(rows: int, horizon: int) -> None:
    assert trained(regular(rows)).horizon == horizon


@pytest.mark.parametrize(("asked", "tuned"), [(7, 28), (60, 60), (365, 112)])
def test_a_longer_horizon_is_tuned_for_up_to_four_times_the_usual_one(asked: int, tuned: int) -> None:
    assert trained(regular(400), horizon=asked).horizon == tuned


@pytest.mark.parametrize("rows", [1, 2])
def test_too_short_a_history_is_a_named_error(rows: int) -> None:
    with pytest.raises(TooShort, match=f"{rows} valid rows; a model needs at least 3"):
        trained(regular(2).head(rows))


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(UnknownFamily, match="there is no family profit; there are all, naive, profile"):
        trained(regular(60), families="profit")


NOISE = np.random.default_rng(0).random(60)
DEGENERATE = {
    "constant": np.full(60, 5.0),
    "zeros": np.zeros(60),
    "three rows": np.array([1.0, 2, 3]),
    "thirteen rows": NOISE[:13],
    "negative": -consumption(START + DAY * np.arange(60, dtype=np.int64)),
    "line": np.arange(100.0),
    "sinusoid": 10 + np.sin(2 * np.pi * np.arange(200) / 7),
    "tiny": NOISE * 1e-12,
    "huge": NOISE * 1e14,
    "beyond reason": np.r_[NOISE, 1e300, NOISE],
    "one spike": np.r_[np.zeros(50), 1e12, np.zeros(49)],
    "nothing for weeks": np.r_[NOISE, np.full(100, np.nan), 0.5],
    "zeros at the end": np.r_[NOISE, np.zeros(40)],
    "late start": np.r_[np.zeros(300), 5 + NOISE],
    "mostly missing": np.where(np.arange(120) % 9 == 0, np.r_[NOISE, NOISE], np.nan),
}


@pytest.mark.parametrize("families", ["all", "prophet", "profile"])
@pytest.mark.parametrize("values", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_degenerate_series_get_a_model_that_forecasts(values: Floats, families: str) -> None:
    model = unpack(pack(trained(daily(values), families=families)))

    answer = forecast(model, 60)

    assert np.isfinite([answer.yhat, answer.lower, answer.upper]).all()
    assert (answer.lower <= answer.yhat).all()
    assert (answer.yhat <= answer.upper).all()
    assert model.model.metrics.mae <= model.model.metrics.naive_mae


@pytest.mark.parametrize("step", [900, 1800, HOUR, 7 * DAY, 30 * DAY + 43_200, 5 * HOUR])
@pytest.mark.parametrize("rows", [3, 40, 150, 700])
def test_every_frequency_and_length_gets_a_model(step: int, rows: int) -> None:
    series = regular(rows, step)

    model = trained(series)

    answer = forecast(unpack(pack(model)), 2 * model.horizon)
    assert np.isfinite([answer.yhat, answer.lower, answer.upper]).all()
    assert model.metrics.mae <= model.metrics.naive_mae


def test_hours_are_tuned_for_a_week() -> None:
    model = trained(regular(24 * 60, HOUR))

    assert model.family == "mix"
    assert model.horizon == 168


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


def test_what_was_repaired_is_told() -> None:
    values = consumption(START + DAY * np.arange(300, dtype=np.int64))
    values[100:120] = 0
    values[200] = 1e6

    repairs = trained(daily(values)).repairs

    assert (repairs.outage, repairs.outliers) == (20, 1)


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
    """Noise that repeats exactly is the naive's, but for one week that differs."""
    values = np.tile(np.random.default_rng(3).random(7), 40)
    values[100:107] += 0.5

    model = trained(daily(values), families="naive")

    assert isinstance(model.parameters, NaiveModel)
    assert model.parameters.sigma > 0
    answer = forecast(unpack(pack(model)), 1)
    assert answer.upper[0] > answer.lower[0]


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
