"""A history as values on regular steps."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.engine_support import DAY, HOUR, START

from fleetcast_engine import Series
from fleetcast_engine.errors import NoGrid
from fleetcast_engine.history.cleaning import clean
from fleetcast_engine.history.grid import Grid, steps_of
from fleetcast_engine.history.timeline import MOST_STEPS, SPACINGS, Timeline


def on_grid(timestamps: object, **options: str) -> Grid:
    stamps = np.asarray(timestamps)
    return Grid.of(Series.from_arrays("c", stamps, np.arange(1, len(stamps) + 1), **options))


@pytest.mark.parametrize("step", [900, 1800, HOUR, DAY, 7 * DAY])
def test_steps_without_a_row_are_nan(step: int) -> None:
    grid = on_grid(START + step * np.array([0, 1, 2, 5, 6]))

    assert grid.values.tolist() == pytest.approx([1, 2, 3, np.nan, np.nan, 4, 5], nan_ok=True)
    assert grid.seconds == step
    assert grid.timeline.end == START + 6 * step


def test_months_are_counted_by_the_calendar() -> None:
    grid = on_grid(np.array(["2023-12-31", "2024-01-31", "2024-02-29", "2024-05-31"], "datetime64[D]"))

    assert grid.values.tolist() == pytest.approx([1, 2, 3, np.nan, np.nan, 4], nan_ok=True)


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Berlin", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("rows", range(24, 37))
def test_local_months_stay_one_step_apart_over_clock_changes(zone: str, rows: int) -> None:
    firsts = (np.datetime64("2020-03") + np.arange(rows)).astype("datetime64[D]")

    grid = on_grid(firsts, time_zone=zone)

    assert grid.timeline.frequency == "monthly"
    assert grid.values.tolist() == list(range(1, rows + 1))


@pytest.mark.parametrize("days", [28, 29, 30, 31])
@pytest.mark.parametrize("rows", [2, 10, 14, 40, 200])
def test_no_row_is_lost_where_months_are_not_the_calendars(days: int, rows: int) -> None:
    """A bill every thirty days: sooner or later two of them are of one month."""
    series = Series.from_arrays("c", START + DAY * days * np.arange(rows), np.ones(rows))

    if rows >= 40 and days < 31:
        assert series.frequency == "irregular"
    if series.frequency == "monthly":
        assert np.isfinite(Grid.of(series).values).sum() == rows


@given(st.dates(date(1990, 1, 1), date(2080, 1, 1)), st.integers(0, DAY - 1), st.integers(1, 300))
def test_months_ahead_are_one_step_apart(last: date, second: int, count: int) -> None:
    end = int(np.datetime64(last, "s").astype(np.int64)) + second
    for month_day in {last.day, 31} if (last + timedelta(1)).day == 1 else {last.day}:
        timeline = Timeline("monthly", SPACINGS["monthly"].seconds, end, month_day)

        assert timeline.steps_to(timeline.future(count)).tolist() == list(range(1, count + 1))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"])
def test_local_days_stay_one_step_apart_over_clock_changes(zone: str) -> None:
    days = np.datetime64("2017-01-01") + np.arange(730)

    assert on_grid(days, time_zone=zone).values.tolist() == list(range(1, 731))


def test_rows_half_a_step_off_do_not_fall_together() -> None:
    """A meter exchanged at half past the hour: rounding halves to even would lose every second reading."""
    before, after = START + HOUR * np.arange(50), START + HOUR * np.arange(50, 100) + HOUR // 2

    grid = on_grid(np.r_[before, after])

    assert np.isfinite(grid.values).sum() == 100


def test_of_two_rows_on_a_step_the_later_counts() -> None:
    grid = on_grid(np.r_[0, DAY, DAY + HOUR, DAY * np.arange(2, 10)])

    assert grid.values.tolist() == [1, 3, *range(4, 12)]


def test_a_cleaned_series_ends_where_the_raw_one_does() -> None:
    values = np.full(60, 100.0) + np.arange(60) % 7
    values[:10], values[-1] = 0, -5
    series = Series.from_arrays("c", DAY * np.arange(60), values)

    grid = Grid.of(clean(series).series)

    assert len(grid) == 50
    assert grid.values[-2:].tolist() == pytest.approx([102, np.nan], nan_ok=True)


def test_irregular_rows_have_no_grid() -> None:
    with pytest.raises(NoGrid, match="the 4 rows lie on no regular steps"):
        on_grid([0, 5000, 90_000, 777_777])


def test_two_readings_an_hour_apart_do_not_make_centuries_hourly() -> None:
    """Else three rows would ask for a grid of four million steps."""
    rows = Series.from_arrays("c", [-5_000_000_000, -5_000_000_000 + HOUR, 6_000_000_000], [1, 2, 3])

    assert rows.frequency == "irregular"


def test_no_grid_is_larger_than_its_bound() -> None:
    stamps = np.r_[900 * np.arange(10_000), 900 * (MOST_STEPS - 1)]

    assert len(on_grid(stamps)) == MOST_STEPS
    assert Series.from_arrays("c", stamps + 900 * (stamps > 9e6), np.ones(10_001)).frequency == "irregular"


def test_a_slipped_year_leaves_an_hourly_history_hourly() -> None:
    stamps = np.r_[0, START + HOUR * np.arange(8760)]

    assert len(on_grid(stamps)) == START // HOUR + 8760


def test_a_million_rows_are_put_on_their_steps() -> None:
    series = Series.from_arrays("c", 900 * np.arange(1_000_000), np.arange(1_000_000))

    assert (Grid.of(series).values == series.values).all()


def test_steps_are_counted_back_from_the_end() -> None:
    series = Series.from_arrays("c", DAY * np.array([0, 1, 2, 3, 9]), np.ones(5))

    assert steps_of(series).tolist() == [-9, -8, -7, -6, 0]
