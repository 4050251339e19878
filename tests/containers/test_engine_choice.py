"""Each family forecasts what can be known by hand, and the best of them are mixed."""

import numpy as np
import pytest
from tests.containers.engine_support import DAY, HOUR, START, Floats, Series, consumption, regular

from fleetcast_engine import TrainSettings, choose, fit, forecast, pack, train
from fleetcast_engine.choice.analogue import analogues
from fleetcast_engine.choice.backtest import Backtest, past_of
from fleetcast_engine.choice.mix import LEVELS, MixModel
from fleetcast_engine.choice.past import Past
from fleetcast_engine.choice.profiles import naives, profiles
from fleetcast_engine.choice.prophets import corrected, prophets
from fleetcast_engine.choice.regression import autoregressions
from fleetcast_engine.choice.selection import MOST_MEMBERS, quantiles, select, select_one, weighted_error
from fleetcast_engine.choice.windows import ahead, last_of_cycle, levels, profile, windows
from fleetcast_engine.forecasting import LoadedModel
from fleetcast_engine.history.cleaning import Cleaned
from fleetcast_engine.history.repairs import Repairs

WEEK = np.array([1.0, 5, 2, 8, 3, 9, 4])
SETTINGS = TrainSettings("r20260131020000-0a1b2c", trained_at=1_769_824_800)


def series_of(values: Floats, step: int = DAY) -> Series:
    return Series.from_arrays("meter-7", START + step * np.arange(len(values)), values)


def past(values: Floats, origins: int = 26, step: int = DAY) -> Past:
    """Return what was known of values as they are, with no cleaning."""
    series = series_of(values, step)
    return past_of(Cleaned(series, series, Repairs()), 28, origins)


def settings(**changes: str | int) -> TrainSettings:
    return TrainSettings(SETTINGS.run_id, trained_at=SETTINGS.trained_at, **changes)


def test_windows_begin_with_nothing_where_the_history_does() -> None:
    values = np.arange(4.0)

    seen = windows(values, np.array([3, 1]), 3)

    np.testing.assert_array_equal(seen, [[1, 2, 3], [np.nan, 0, 1]])
    np.testing.assert_array_equal(ahead(values, np.array([1, 3]), 3), [[2, 3, np.nan], [np.nan] * 3])


def test_the_last_of_a_cycle_skips_what_is_missing() -> None:
    cycles = np.array([[[1.0, 2], [3, np.nan], [5, np.nan]]])

    assert last_of_cycle(cycles, 1).tolist() == [[5, 2]]
    assert last_of_cycle(cycles, 2).tolist() == [[4, 2]]


def test_a_profile_is_what_repeats_whatever_the_level_does() -> None:
    level = np.random.default_rng(0).normal(100, 20, 26)

    shape = profile((level[:, None] + WEEK)[None], 0.9)

    np.testing.assert_allclose(shape[0], WEEK - WEEK.mean(), atol=1e-9)


def test_a_single_holiday_does_not_become_part_of_the_profile() -> None:
    weeks = 100 + np.tile(WEEK, (26, 1)) + np.random.default_rng(0).normal(0, 0.5, (26, 7))
    with_holiday = weeks.copy()
    with_holiday[-1, 2] -= 80

    moved = profile(with_holiday[None], 0.9) - profile(weeks[None], 0.9)

    # Eighty, weighed by a tenth, would be eight.
    assert np.abs(moved).max() < 2


def test_a_level_with_a_half_life_of_a_day_is_half_made_of_the_last() -> None:
    left = np.zeros((1, 40))
    left[0, -1] = 1

    assert levels(left, 1, (1.0,))[0, 0] == pytest.approx(0.5)
    assert levels(np.repeat(left, 24, axis=1), 24, (1.0,))[0, 0] == pytest.approx(0.5)
    assert levels(np.full((1, 40), np.nan), 1, (1.0,)).tolist() == [[0]]


def test_the_naives_repeat_the_last_week_and_the_mean_of_the_last_four() -> None:
    weeks = np.concatenate([k * WEEK for k in range(1, 11)])

    found = naives(past(weeks))

    np.testing.assert_allclose(found["naive1"][0], np.tile(10 * WEEK, 4))
    np.testing.assert_allclose(found["naive4"][0], np.tile(8.5 * WEEK, 4))
    np.testing.assert_allclose(found["naive1"][1], np.tile(9 * WEEK, 4))


def test_every_profile_continues_what_has_always_repeated() -> None:
    for name, forecasts in profiles(past(np.tile(WEEK, 30))).items():
        np.testing.assert_allclose(forecasts, np.tile(WEEK, (len(forecasts), 4)), rtol=1e-6, err_msg=name)


def test_hours_know_the_shape_of_the_last_days() -> None:
    """Since eight days ago one hour is higher: the usual profile has seen little of it."""
    values = np.tile(np.arange(24.0) + 50, 70)
    values[-8 * 24 + 5 :: 24] += 40

    found = profiles(past(values, step=HOUR))

    usual, adapted = (found[name][0, 5] for name in ("level3", "hours3_level3"))
    assert usual < 70 < adapted < 95


def test_an_autoregression_continues_a_rhythm_that_is_not_the_weeks() -> None:
    wave = 50 + 10 * np.cos(2 * np.pi * np.arange(400) / 5)
    expected = 50 + 10 * np.cos(2 * np.pi * np.arange(400, 428) / 5)

    found = autoregressions(past(wave))

    assert np.abs(found["ar"][0] - expected)[:7].max() < 2
    assert np.abs(found["ar_log"][0] - expected)[:7].max() < 3


def test_an_analogue_adds_a_share_of_what_was_missed_a_year_ago() -> None:
    """Minus one every day, but for the month that followed this day a year ago, which had 40 more."""
    values = np.full(500, -1.0)
    values[500 - 364 : 500 - 364 + 28] += 40

    found = analogues(past(values))

    np.testing.assert_allclose(found["yearly25_level3"][0], 9)
    np.testing.assert_allclose(found["yearly75_level1"][0], 29)


def test_in_the_first_year_there_is_nothing_analogous() -> None:
    assert analogues(past(np.tile(WEEK, 52))) == {}


def test_a_candidate_of_prophet_is_prophet_with_its_correction() -> None:
    series = regular(300)

    found = prophets(past(series.values))["prophet"][0]

    model = corrected(fit(series).model, series)
    np.testing.assert_allclose(found, model.predict(series.timeline.future(28), series.timeline), rtol=1e-9)


def test_no_family_looks_beyond_its_origin() -> None:
    """Whatever happens after an origin, the forecast from there stays the same."""
    values = np.maximum(consumption(START + DAY * np.arange(900, dtype=np.int64)), 0)
    other = values.copy()
    other[-20:] *= 3
    families = (naives, profiles, autoregressions, analogues, prophets)
    for family in families:
        seen, unseen = family(past(values)), family(past(other))
        # Four weeks back and further lies before the change; the scale of logarithms is the whole history's.
        for name, forecasts in seen.items():
            np.testing.assert_allclose(forecasts[4:], unseen[name][4:], rtol=0.02, err_msg=name)


def made_up(errors: dict[str, float], origins: int = 26) -> Backtest:
    """Return a backtest whose candidates are always wrong by the same amount, the naive most of all."""
    errors = {"naive1": 99, **errors}
    known = past(np.tile(WEEK, 60), origins)
    origins = len(known.origins) - 1
    names = tuple(sorted(errors))
    actual = np.zeros((origins, known.horizon))
    forecasts = np.stack([np.full((origins + 1, known.horizon), float(errors[name])) for name in names])
    ages = np.arange(1.0, origins + 1)
    return Backtest(known, names, forecasts, actual, actual, ages, 0.9**ages, {})


def test_the_forecast_is_the_mean_of_the_three_best() -> None:
    mix = select(made_up({"a": 3, "b": 2, "c": 50, "d": 1, "naive1": 9}))

    assert mix.members == (("d", "b", "a"),) * 2
    assert mix.path.tolist() == [2] * 28
    assert weighted_error(made_up({"a": 1}), mix.tested) == pytest.approx(2)


def test_more_are_averaged_where_few_origins_say_which_are_best() -> None:
    candidates = {letter: float(i + 1) for i, letter in enumerate("abcdefghijklmnop")}

    counts = [len(select(made_up(candidates, origins)).members[0]) for origins in (1, 4, 12, 26)]

    assert counts == [MOST_MEMBERS, 7, 4, 3]


def test_ties_go_by_name() -> None:
    assert select(made_up({"z": 1, "y": 1, "x": 1, "w": 1})).members[0] == ("w", "x", "y")


def test_an_origin_has_no_say_in_what_it_is_tested_with() -> None:
    """A candidate that is right once by chance, and badly wrong elsewhere, is not what that origin is served."""
    backtest = made_up({"a": 1, "b": 1, "c": 1, "lucky": 2})
    backtest.forecasts[3, 1] = 0

    mix = select(backtest)

    assert mix.tested[0].tolist() == [1] * 28


def test_a_candidate_that_did_not_run_everywhere_is_compared_with_the_naive_where_it_did() -> None:
    """The naive did badly where it ran, and so did it: its error there says nothing about the other origins."""
    backtest = made_up({"a": 2, "b": 3, "half": 8, "naive1": 4})
    backtest.forecasts[backtest.names.index("naive1"), 1:20] = 20
    backtest.forecasts[backtest.names.index("half"), 20:] = np.nan

    mix = select(backtest, 1)

    errors = dict(zip(backtest.names, mix.errors[:, 0], strict=True))
    assert errors["half"] == pytest.approx(errors["naive1"] * 8 / 20)
    assert backtest.ran.sum(axis=1).tolist() == [39, 39, 19, 39]


def test_what_did_not_run_at_an_origin_has_no_part_in_what_is_tested_there() -> None:
    backtest = made_up({"best": 1, "second": 2, "third": 3, "fourth": 10})
    backtest.forecasts[backtest.names.index("best"), 5:9] = np.nan

    mix = select(backtest)

    assert mix.members[0] == ("best", "second", "third")
    assert mix.tested[0, 0] == 2
    assert mix.tested[4:8].tolist() == [[5] * 28] * 4


def test_one_candidate_is_tested_only_where_it_ran() -> None:
    backtest = made_up({"one": 1, "other": 5})
    backtest.forecasts[:2, 3] = np.nan
    backtest.forecasts[2, 3] = np.nan

    mix = select_one(backtest, ["one", "other"])

    assert mix.members == (("one",), ("one",))
    assert np.isnan(mix.tested[2]).all()
    assert mix.tested[[0, 1, 3]].tolist() == [[1] * 28] * 3


def test_one_candidate_is_tested_where_it_was_not_chosen() -> None:
    backtest = made_up({"usual": 1, "lucky": 2})
    backtest.forecasts[backtest.names.index("lucky"), 1] = -20
    backtest.forecasts[backtest.names.index("usual"), 1] = 40

    mix = select_one(backtest, ["lucky", "usual"])

    assert mix.members[0] == ("lucky",)
    assert mix.tested[0].tolist() == [40] * 28


def test_quantiles_are_those_of_what_was_missed_and_a_little_wider() -> None:
    backtest = made_up({"a": 0})
    noise = np.random.default_rng(0).normal(0, 1, backtest.actual.shape)
    backtest.metered[:] = noise

    found = quantiles(backtest, np.zeros_like(noise))

    middle, upper = LEVELS.index(0.5), LEVELS.index(0.9)
    assert np.abs(found[:, middle]).max() < 0.3
    assert (np.diff(found, axis=1) > 0).all()
    assert 1.28 * 0.85 < found[:, upper].mean() < 1.28 * 1.35


@pytest.mark.parametrize("interval", [0.5, 0.8, 0.95])
def test_intervals_hold_as_much_as_they_promise(interval: float) -> None:
    inside = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        values = 200 + 20 * np.tile(WEEK, 60) + rng.normal(0, 15, 420) + rng.normal(0, 2, 420).cumsum()
        model = train(series_of(values[:392]), settings(families="naive,profile,ar"))
        answer = forecast(LoadedModel(model, 0), 28, interval=interval)
        inside.append((values[392:] >= answer.lower) & (values[392:] <= answer.upper))

    assert interval - 0.12 < np.mean(inside) < min(interval + 0.12, 0.99)


def test_training_twice_gives_the_same_bytes() -> None:
    for series in (regular(400), regular(24 * 40, HOUR), regular(30)):
        assert pack(train(series, SETTINGS)) == pack(train(series, SETTINGS))


@pytest.mark.parametrize("factor", [1e-3, 2.0, 1e6])
def test_scaling_the_values_scales_the_forecast(factor: float) -> None:
    series = regular(400)
    scaled = Series.from_arrays("meter-7", series.timestamps, factor * series.values)

    ours, theirs = train(series, SETTINGS), train(scaled, SETTINGS)

    assert isinstance(ours.parameters, MixModel)
    assert isinstance(theirs.parameters, MixModel)
    assert ours.parameters.members == theirs.parameters.members
    np.testing.assert_allclose(factor * ours.parameters.path, theirs.parameters.path, rtol=1e-6)
    np.testing.assert_allclose(
        factor * ours.parameters.quantiles, theirs.parameters.quantiles, rtol=1e-5, atol=1e-6 * factor
    )


@pytest.mark.parametrize("days", [7, 364, -3640])
def test_shifting_time_by_whole_weeks_changes_nothing(days: int) -> None:
    series = regular(400)
    shifted = Series.from_arrays("meter-7", series.timestamps + days * DAY, series.values)

    ours, theirs = train(series, SETTINGS).parameters, train(shifted, SETTINGS).parameters

    assert isinstance(ours, MixModel)
    assert isinstance(theirs, MixModel)
    np.testing.assert_allclose(ours.path, theirs.path, rtol=1e-6)


def test_what_stands_still_for_a_week_goes_on_standing_still() -> None:
    values = np.r_[np.tile(WEEK, 40), np.zeros(10)]

    assert forecast(LoadedModel(train(series_of(values), SETTINGS), 0), 28).yhat.tolist() == [0] * 28


def test_the_table_behind_the_choice_has_every_candidate_best_first() -> None:
    choice = choose(regular(800), SETTINGS)
    model = train(regular(800), SETTINGS)

    names = [candidate.name for candidate in choice.candidates]
    assert {"naive1", "naive4", "level3", "ar", "yearly50_level3", "prophet_multiplicative"} <= set(names)
    naive = next(candidate for candidate in choice.candidates if candidate.name == "naive1")
    assert naive.errors == (1.0, 1.0)
    assert (choice.family, choice.metrics) == (model.family, model.metrics)
    assert isinstance(model.parameters, MixModel)
    assert choice.members == model.parameters.members
    for block, members in enumerate(choice.members):
        assert {c.name for c in choice.candidates if c.chosen[block]} == set(members)
    assert all(0.6 < share <= 1 for share in choice.coverage)


def test_the_table_of_a_series_without_regular_steps_compares_prophet_with_the_last_value() -> None:
    moments = np.sort(np.random.default_rng(0).choice(400 * DAY, 500, replace=False)) + START
    series = Series.from_arrays("c", moments, consumption(moments))

    choice = choose(series, SETTINGS)

    assert {"naive1", "prophet", "prophet_uncorrected"} <= {c.name for c in choice.candidates}
    assert choice.metrics.mae <= choice.metrics.naive_mae
    assert choice.family == train(series, SETTINGS).family
