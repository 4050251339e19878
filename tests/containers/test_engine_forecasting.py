"""Answers of a loaded model: the same as the slow way, in any order, of any length, and in any thread."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.engine_models import (
    END,
    WEEKLY,
    YEARLY,
    automatic,
    fitted,
    of_each_kind,
    prophet,
    regressors_for,
)
from tests.containers.engine_support import DAY, HOUR, START, opened, stock_forecast

from fleetcast_engine import (
    FittedModel,
    Forecast,
    LoadedModel,
    components,
    forecast,
    pack,
    to_prophet_json,
    unpack,
)
from fleetcast_engine.errors import ForecastError, MissingRegressor
from fleetcast_engine.history.timeline import SPACINGS, Timeline
from fleetcast_engine.prophet.model import Seasonality

KINDS = of_each_kind()
DAYS = Timeline("daily", DAY, END)


def loaded(model: FittedModel) -> LoadedModel:
    return unpack(pack(model))


def ask(model: FittedModel, steps: int, **arguments: Any) -> Forecast:
    return forecast(loaded(model), steps, regressors=regressors_for(model, steps), **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_the_components_add_up_to_the_forecast(kind: str) -> None:
    """They are worked out without the shortcuts of the forecast, so this holds those to Prophet's formula."""
    model = replace(KINDS[kind], nonnegative=False)
    parts = components(loaded(model), 500, regressors=regressors_for(model, 500))

    whole = parts.get("local", 0) + parts["trend"] * (1 + parts.get("multiplicative_terms", np.zeros(500)))
    whole += parts.get("additive_terms", 0) + parts.get("correction", 0) + parts.get("season", 0)

    np.testing.assert_allclose(ask(model, 500).yhat, whole, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_forecast_may_begin_later(kind: str) -> None:
    model = loaded(KINDS[kind])
    values = regressors_for(KINDS[kind], 40)
    whole = forecast(model, 40, regressors=values)

    later = forecast(
        model,
        10,
        start=int(whole.timestamps[30]) - 5,
        regressors={name: row[30:] for name, row in values.items()},
    )

    assert later.timestamps.tolist() == whole.timestamps[30:].tolist()
    for name in ("yhat", "lower", "upper"):
        np.testing.assert_allclose(getattr(later, name), getattr(whole, name)[30:], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_answer_begins_with_the_short_one(kind: str) -> None:
    """Short ones come from what customers share, long ones are worked out for this one alone."""
    short, long = ask(KINDS[kind], 20), ask(KINDS[kind], 2000)

    for name in ("yhat", "lower", "upper"):
        np.testing.assert_allclose(getattr(long, name)[:20], getattr(short, name), rtol=1e-12)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"period": 0}, "may end 1 to 100000 steps after the training data, not 0"),
        ({"period": 100_001}, "not 100001"),
        ({"period": 10**30}, "may end 1 to 100000 steps"),
        ({"period": 2.5}, "period must be a whole number from 1 to 100000, not 2.5"),
        ({"period": 1, "interval": 0.0}, "interval must be above 0 and at most 0.9999, not 0.0"),
        ({"period": 1, "interval": 1.0}, "at most 0.9999, not 1.0"),
        ({"period": 1, "interval": 0.9999999999999999}, "at most 0.9999, not 0.9999999999999999"),
        ({"period": 1, "interval": np.nan}, "at most 0.9999, not nan"),
        ({"period": 1, "start": START}, "after the end of the training data"),
        ({"period": 1, "start": END}, "after the end of the training data"),
        ({"period": 1, "start": END + 0.5}, "start must be a whole number of seconds since 1970"),
        ({"period": 1, "start": 2**60}, "at most 100000 are possible"),
        ({"period": 1, "start": 10**30}, "at most 100000 are possible"),
    ],
)
@pytest.mark.parametrize("kind", ["prophet", "mix", "naive"])
def test_an_impossible_forecast_is_refused_with_what_is_possible(
    kind: str, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ForecastError, match=message):
        forecast(loaded(KINDS[kind]), **kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_widest_interval_and_numbers_of_numpy_are_answered(kind: str) -> None:
    model = KINDS[kind]
    answer = ask(model, 2, interval=0.9999)

    (period,), start = np.array([2]), model.timeline.future(1)[0]
    same = forecast(loaded(model), period, start, np.float64(0.9999), regressors_for(model, 2))

    assert np.isfinite(answer.upper).all()
    assert same.upper.tolist() == answer.upper.tolist()


@pytest.mark.parametrize(
    ("end", "start"),
    [
        ("2025-10-14T22:00", "2025-10-26T23:00"),
        ("2025-10-25T22:00", "2025-10-26T23:00"),
        ("2025-03-13T23:00", "2025-03-30T22:00"),
        ("2025-10-14T22:00", "2025-10-25T22:00"),
    ],
    ids=["over autumn", "in autumn's night", "over spring", "no change"],
)
@pytest.mark.parametrize(("frequency", "days"), [("daily", 1), ("weekly", 7)])
def test_a_local_midnight_begins_the_forecast_with_its_own_day(
    end: str, start: str, frequency: str, days: int
) -> None:
    """Steps are days of 24 hours; after an autumn's change of clocks the midnights lie an hour behind them."""
    after, first = (int(np.datetime64(moment, "s").astype(np.int64)) for moment in (end, start))
    timeline = Timeline(frequency, days * DAY, after)
    ahead = -(-round((first - after) / DAY) // days)

    answer = forecast(LoadedModel(replace(KINDS["naive"], timeline=timeline), 0), 3, start=first)

    assert answer.timestamps.tolist() == timeline.future(ahead + 2)[ahead - 1 :].tolist()


@pytest.mark.parametrize(
    ("frequency", "of_day", "behind", "skipped"),
    [
        ("hourly", 23 * HOUR, 1, 1),
        ("hourly", 23 * HOUR, HOUR, 1),
        ("daily", 0, 1, 1),
        ("daily", 0, HOUR, 1),
        ("daily", 0, 3 * HOUR // 2, 1),
        ("daily", 23 * HOUR, HOUR, 0),
        ("daily", 22 * HOUR, HOUR, 0),
        ("daily", 22 * HOUR, 2 * HOUR, 0),
        ("daily", 22 * HOUR, 2 * HOUR + 1, 1),
        ("daily", 23 * HOUR, 3 * HOUR // 2, 1),
        ("daily", 21 * HOUR, 3 * HOUR, 1),
        ("weekly", 23 * HOUR, HOUR, 0),
        ("weekly", 23 * HOUR, HOUR + 1, 1),
        ("monthly", 22 * HOUR, 2 * HOUR, 0),
        ("monthly", 22 * HOUR, DAY, 1),
        ("irregular", 23 * HOUR, 1, 1),
    ],
)
def test_a_start_behind_a_step_begins_with_the_next_unless_both_begin_the_same_local_day(
    frequency: str, of_day: int, behind: int, skipped: int
) -> None:
    seconds = SPACINGS[frequency].seconds if frequency in SPACINGS else DAY
    end = END - END % DAY + of_day
    timeline = Timeline(frequency, seconds, end, 15 if frequency == "monthly" else 0)
    steps = timeline.future(3)

    answer = forecast(LoadedModel(replace(KINDS["naive"], timeline=timeline), 0), 1, int(steps[0]) + behind)

    assert answer.timestamps[0] == steps[skipped]


@pytest.mark.parametrize("frequency", SPACINGS)
@pytest.mark.parametrize("end", ["2026-01-31T00:00", "2026-02-28T23:00", "2024-02-29T04:30"])
def test_a_far_start_is_found_where_counting_step_by_step_finds_it(frequency: str, end: str) -> None:
    after = int(np.datetime64(end, "s").astype(np.int64))
    timeline = Timeline(frequency, SPACINGS[frequency].seconds, after, 31 if frequency == "monthly" else 0)
    steps = timeline.future(90_000)

    for place in (0, 1, 2, 11, 12, 500, 89_990):
        for moment in (int(steps[place]), int(steps[place]) - 60, int(steps[place]) + 60):
            expected = int(np.searchsorted(steps, moment)) + 1
            assert timeline.step_at(moment) == expected
            assert timeline.future(3, expected - 1).tolist() == steps[expected - 1 : expected + 2].tolist()


def test_a_start_beyond_all_calendars_takes_no_longer_than_the_next_day() -> None:
    """It is no more work to the count of steps, so it may be none to the processor."""
    timeline = Timeline("monthly", SPACINGS["monthly"].seconds, END, 15)
    asked = LoadedModel(replace(KINDS["naive"], timeline=timeline), 0)
    start = int(np.datetime64("9990-01-01", "s").astype(np.int64))
    forecast(asked, 1, start)

    tracemalloc.start()
    answer = forecast(asked, 1, start + DAY)
    components(asked, 1, start + 2 * DAY)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert np.datetime_as_string(answer.timestamps.astype("datetime64[s]"), "D").tolist() == ["9990-01-15"]
    assert most < 50_000, "as numbers, not as an array of all steps before it"


@pytest.mark.parametrize(("period", "start"), [(2, "9999-12-01"), (1, "9999-12-16"), (30, "9997-08-01")])
def test_a_forecast_that_no_calendar_can_write_is_refused(period: int, start: str) -> None:
    timeline = Timeline("monthly", SPACINGS["monthly"].seconds, END, 15)
    asked = LoadedModel(replace(KINDS["naive"], timeline=timeline), 0)
    first = int(np.datetime64(start, "s").astype(np.int64))

    with pytest.raises(ForecastError, match="ends in the year 9999 at the latest") as raised:
        forecast(asked, period, first)

    assert raised.value.argument == "period"


def test_a_start_in_the_past_is_told_when_the_past_ends() -> None:
    with pytest.raises(
        ForecastError, match="after the end of the training data, which is 2024-12-30T00:00:00Z"
    ):
        forecast(loaded(KINDS["naive"]), 1, START)


def test_a_regressor_has_to_be_known_ahead() -> None:
    model = loaded(KINDS["regressors"])

    with pytest.raises(MissingRegressor, match="'temperature' has no values"):
        forecast(model, 7)
    with pytest.raises(MissingRegressor, match="has 6 values for 7 timestamps"):
        forecast(model, 7, regressors={"temperature": np.zeros(6)})


@given(st.sampled_from(sorted(KINDS)), st.floats(0.001, 0.998), st.floats(0.0005, 0.001), st.integers(1, 60))
def test_a_wider_interval_holds_the_narrower_one(kind: str, interval: float, more: float, steps: int) -> None:
    narrow, wide = (ask(KINDS[kind], steps, interval=level) for level in (interval, interval + more))

    assert (narrow.lower <= narrow.yhat).all()
    assert (narrow.yhat <= narrow.upper).all()
    slack = 1e-9 * np.abs(wide.yhat).max()
    assert (wide.upper >= narrow.upper - slack).all()
    assert (wide.lower <= narrow.lower + slack).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_do_not_depend_on_how_much_is_asked_for(kind: str) -> None:
    lines = [ask(KINDS[kind], steps) for steps in (30, 60)]

    assert lines[0].upper.tolist() == pytest.approx(lines[1].upper[:30].tolist(), rel=1e-12)


def test_many_threads_get_what_one_gets() -> None:
    """The server answers in its event loop and in threads, from caches that are smaller than its fleet."""
    fleet = [
        loaded(replace(KINDS[kind], timeline=Timeline("daily", DAY, END + DAY * age)))
        for kind in ("prophet", "multiplicative", "mix")
        for age in range(60)
    ]
    alone = [forecast(model, 7).yhat.tolist() for model in fleet]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda model: forecast(model, 7).yhat.tolist(), fleet * 3))

    assert together == alone * 3


def test_what_customers_share_cannot_be_written_to() -> None:
    answer = forecast(loaded(KINDS["prophet"]), 7)

    with pytest.raises(ValueError, match="read-only"):
        answer.timestamps[0] = 0


def test_timestamps_before_the_last_changepoint_are_forecast_too() -> None:
    model = prophet((YEARLY, WEEKLY))
    everywhere = START + DAY * np.arange(-50, 900, dtype=np.int64)

    shuffled = np.random.default_rng(0).permutation(everywhere)

    forwards = dict(zip(everywhere.tolist(), model.predict(everywhere, DAYS).tolist(), strict=True))
    for start in (0, 500):
        part = shuffled[start : start + 300]
        expected = [forwards[moment] for moment in part.tolist()]
        np.testing.assert_allclose(model.predict(part, DAYS), expected, rtol=1e-12)
    assert model.predict(np.zeros(0, np.int64), DAYS).tolist() == []


@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_prophet_itself_forecasts_the_same(mode: str) -> None:
    seasons = tuple(replace(each, multiplicative=mode == "multiplicative") for each in (YEARLY, WEEKLY))
    model = replace(automatic(), seasonalities=seasons)
    stock = opened(to_prophet_json(model))
    stock.uncertainty_samples = 0
    answer = ask(replace(fitted("prophet", model), nonnegative=False), 365)

    expected = stock_forecast(stock, answer.timestamps).yhat.to_numpy()

    np.testing.assert_allclose(answer.yhat, expected, rtol=1e-9)


def test_a_model_with_many_columns_is_asked_for_a_year_of_hours_in_little_memory() -> None:
    """Bounds of an artifact allow two thousand columns, and a server has many callers."""
    seasons = tuple(Seasonality(f"s{i}", 10.0 + i, 100, multiplicative=False) for i in range(10))
    model = loaded(fitted("prophet", prophet(seasons)))

    tracemalloc.start()
    forecast(model, 8784)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 40e6


@given(
    st.integers(1, 10),
    st.sampled_from(["additive", "multiplicative"]),
    st.floats(0.3, 400),
    st.integers(1, 50),
    st.integers(3600, 10**6),
)
def test_any_season_is_forecast_as_its_formula_says(
    order: int, mode: str, period: float, steps: int, spacing: int
) -> None:
    season = Seasonality("s", period, order, multiplicative=mode == "multiplicative")
    model = prophet((WEEKLY, season), beta=np.random.default_rng(order).normal(0, 0.1, 6 + 2 * order))
    timeline = Timeline("irregular", spacing, END)
    future = timeline.future(steps)

    parts = model.components(future, timeline)

    whole = parts["trend"] * (1 + parts["multiplicative_terms"]) + parts["additive_terms"]
    np.testing.assert_allclose(model.predict(future, timeline), whole, rtol=1e-11, atol=1e-9)
