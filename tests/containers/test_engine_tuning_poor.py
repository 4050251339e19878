"""Customers with little history, with holes in it, or with nothing left to meter: what they are served is honest."""

import numpy as np
import pytest
from tests.containers.engine_support import DAY, HOUR, START, Floats, Ints, consumption, regular

from fleetcast_engine import FittedModel, Series, TrainSettings, choose, forecast, pack, train, unpack
from fleetcast_engine.choice.backtest import _made_possible, past_of, run_backtest
from fleetcast_engine.choice.mix import MixModel
from fleetcast_engine.choice.naive import NaiveModel
from fleetcast_engine.choice.rowwise import _judge, _origins
from fleetcast_engine.choice.selection import MOST_MEMBERS
from fleetcast_engine.forecasting import LoadedModel
from fleetcast_engine.history.cleaning import clean
from fleetcast_engine.prophet.model import ProphetModel

WEEK = 7 * DAY
NOISE = np.random.default_rng(0).normal(0, 5, 400)
MULTIPLICATIVE = ("prophet_multiplicative", "prophet_multiplicative_uncorrected")


def settings(**changes: int | str) -> TrainSettings:
    return TrainSettings("r20260131020000-0a1b2c", trained_at=1_769_824_800, **changes)


def trained(series: Series, **changes: int | str) -> FittedModel:
    return train(series, settings(**changes))


def at(steps: Ints, step: int = DAY) -> Series:
    moments = START + step * steps
    return Series.from_arrays("meter-7", moments, consumption(moments))


def daily(values: Floats) -> Series:
    return Series.from_arrays("meter-7", START + DAY * np.arange(len(values)), values)


def resumed(before: int, gap: int, rows: int, step: int) -> Series:
    return at(np.r_[np.arange(before), before + gap + np.arange(rows)], step)


def without_steps(rows: int = 500) -> Series:
    moments = np.sort(np.random.default_rng(0).choice(400 * DAY, rows, replace=False)) + START
    return Series.from_arrays("c", moments, consumption(moments))


def round_trips(model: FittedModel) -> bool:
    ours, theirs = forecast(LoadedModel(model, 0), 40), forecast(unpack(pack(model)), 40)
    np.testing.assert_array_equal(ours.yhat, theirs.yhat)
    members = model.parameters.members if isinstance(model.parameters, MixModel) else ()
    return all(1 <= len(names) <= MOST_MEMBERS for names in members)


@pytest.mark.parametrize("step", [900, HOUR, DAY, WEEK])
def test_the_model_of_every_short_history_can_be_read_again(step: int) -> None:
    for rows in (*range(3, 30), 60, 100, 340):
        assert round_trips(trained(regular(rows, step), families="naive,profile,ar,yearly")), rows


@pytest.mark.parametrize(("before", "gap", "step"), [(3000, 5000, HOUR), (500, 500, DAY), (200, 300, WEEK)])
def test_the_model_of_a_history_that_has_just_resumed_can_be_read_again(
    before: int, gap: int, step: int
) -> None:
    for rows in (2, 8, 9, 12, 20, 30, 60):
        assert round_trips(trained(resumed(before, gap, rows, step))), rows


@pytest.mark.parametrize("origins", [0, 1, 2])
def test_the_model_of_few_origins_can_be_read_again(origins: int) -> None:
    for series in (regular(400), regular(2000, HOUR), without_steps()):
        assert round_trips(trained(series, origins=origins))


def test_a_candidate_that_hardly_ran_is_out_of_the_race_with_a_reason() -> None:
    """The direct solver declines a multiplicative season on the short histories of the older origins."""
    table = {one.name: one for one in choose(regular(130), settings(families="prophet")).candidates}
    model = trained(regular(130), families="prophet")

    for name in MULTIPLICATIVE:
        assert not any(table[name].chosen)
        assert "forecast" in (table[name].remark or "")
    assert isinstance(model.parameters, ProphetModel)
    assert not any(season.multiplicative for season in model.parameters.seasonalities)


def test_the_forecasts_of_a_candidate_are_its_own_or_none() -> None:
    backtest = run_backtest(clean(regular(260)), settings(families="prophet"))

    substitute = backtest.forecasts[backtest.names.index("naive4"), 1:]
    for name, forecasts, ran in zip(backtest.names, backtest.forecasts[:, 1:], backtest.ran, strict=True):
        assert np.isnan(forecasts[~ran]).all()
        assert name == "naive4" or not (forecasts == substitute).all(axis=1).any()
        assert ran.mean() >= 0.5


@pytest.mark.parametrize("silence", [8, 60])
def test_what_stands_still_goes_on_standing_still_for_a_year(silence: int) -> None:
    series = daily(np.r_[100 + NOISE, np.zeros(silence)])

    for families in ("all", "prophet"):
        answer = forecast(unpack(pack(trained(series, families=families))), 365)
        assert answer.yhat.tolist() == [0] * 365
        assert (answer.upper > 0).all()


def test_where_nothing_can_be_tested_the_naive_says_so_and_knows_its_spread() -> None:
    series = resumed(500, 500, 2, DAY)

    model = trained(series)

    assert (model.family, model.metrics.origins) == ("seasonal_naive", 0)
    assert model.remark == "nothing could be tested: no part of the history lies before another"
    changes = series.values[7:500] - series.values[:493]
    assert isinstance(model.parameters, NaiveModel)
    assert model.parameters.sigma == pytest.approx(np.sqrt(np.mean(changes**2)))


def test_prophets_error_is_measured_where_it_was_not_chosen() -> None:
    """Each is right at the two origins where the other is not: which of them served would have been luck."""
    missed = {
        "naive1": np.array([3.0, 3, 3, 3]),
        "prophet": np.array([0.0, 0, 4, 4.5]),
        "prophet_stiff": np.array([4.0, 4, 0, 0]),
    }

    winner, metrics = _judge(missed, 4)

    assert winner == "naive1"
    assert metrics.mae == metrics.naive_mae == 3


def test_a_clear_winner_is_served_with_the_error_that_it_made() -> None:
    winner, metrics = _judge({"naive1": np.array([3.0, 3]), "prophet": np.array([1.0, 2])}, 6)

    assert (winner, metrics.mae, metrics.naive_mae, metrics.origins) == ("prophet", 0.5, 1, 2)


def test_an_outlier_is_nobodys_error_whether_there_are_steps_or_not() -> None:
    series = without_steps()
    values = series.values.copy()
    values[-5] = 1e6

    metrics = trained(Series.from_arrays("c", series.timestamps, values)).metrics

    assert metrics.mae < 100
    assert metrics.naive_mae < 100


def test_the_fits_of_many_rows_without_steps_are_few() -> None:
    rows = {1_000: 13, 400_000: 10, 1_000_000: 4, 3_000_000: 2}

    assert {count: _origins(count, settings()) for count in rows} == rows
    assert _origins(1_000_000, settings(engine="prophet")) == 2


def test_a_multiplicative_season_is_left_out_where_its_fit_takes_too_long() -> None:
    moments = START + np.cumsum(np.random.default_rng(0).integers(100, 2000, 50_001))
    series = Series.from_arrays("c", moments, consumption(moments))

    table = {one.name: one for one in choose(series, settings(origins=2)).candidates}

    for name in MULTIPLICATIVE:
        remark = "a multiplicative fit takes too long with more than 50,000 irregular rows"
        assert table[name].remark == remark
    assert table["prophet"].remark is None


def test_what_is_possible_at_an_origin_is_what_was_known_there() -> None:
    values = np.tile([1.0, 5, 2, 8, 3, 9, 4], 40)
    values[-1], values[-2] = 400, -50
    past = past_of(clean(daily(values)), 28, 26)

    possible = _made_possible(
        np.stack([np.full((len(past.origins), 28), each) for each in (1e9, -1e9)]), past
    )

    assert np.unique(possible[0, 1:]).tolist() == [13.5]
    assert np.unique(possible[1, 1:]).tolist() == [0]


def test_the_naive_that_is_served_repeats_no_slip_of_the_meter() -> None:
    """It was tested within reason of the history, and is served so."""
    random = np.random.default_rng(4)
    values = random.permutation(np.tile(np.arange(1.0, 8.0), 30))
    values[-3] = 700.0

    model = trained(daily(values), origins=0)

    assert isinstance(model.parameters, NaiveModel)
    assert 7 < model.parameters.season.max() < 30
