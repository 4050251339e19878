"""What a history is read as: its rows, its frequency, and how it goes on."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.containers.engine_support import DAY, HOUR, START

from fleetcast_engine import Series, iso_time
from fleetcast_engine.errors import NoValidRows
from fleetcast_engine.history.timeline import find_timeline


def at(*moments: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(moments, "datetime64[s]").astype(np.int64)


def series_at(timestamps: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Series:
    return Series.from_arrays("c", timestamps, np.ones(len(timestamps)))


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (900, "15min"),
        (1800, "30min"),
        (HOUR, "hourly"),
        (DAY, "daily"),
        (7 * DAY, "weekly"),
        (2 * HOUR, "irregular"),
        (600, "irregular"),
    ],
)
def test_the_frequency_is_found(step: int, name: str) -> None:
    series = series_at(START + step * np.arange(50))

    assert series.frequency == name
    assert series.timeline.future(3).tolist() == [series.timeline.end + step * k for k in (1, 2, 3)]


def test_gaps_do_not_hide_the_frequency() -> None:
    days = np.r_[np.arange(30), np.arange(400, 430), np.arange(431, 440, 2)]

    series = series_at(START + DAY * days)

    assert series.frequency == "daily"
    assert len(series) == 65


def test_local_days_stay_daily_over_a_clock_change() -> None:
    winter = at("2024-03-29T23:00", "2024-03-30T23:00")
    summer = at("2024-03-31T22:00", "2024-04-01T22:00", "2024-04-02T22:00")

    timeline = find_timeline(np.r_[winter, summer])

    assert timeline.frequency == "daily"
    assert timeline.steps_to(np.r_[winter, summer]).tolist() == [-4, -3, -2, -1, 0]


def test_rows_without_rhythm_are_irregular_and_go_on_by_the_median() -> None:
    series = series_at(START + np.array([0, 5000, 90_000, 91_000, 300_000, 777_777]))

    assert series.frequency == "irregular"
    assert series.timeline.future(1)[0] == series.timeline.end + 85_000


@pytest.mark.parametrize(
    ("last_rows", "following"),
    [
        (["2023-11-01", "2023-12-01", "2024-01-01"], ["2024-02-01", "2024-03-01", "2024-04-01"]),
        (["2023-11-30", "2023-12-31", "2024-01-31"], ["2024-02-29", "2024-03-31", "2024-04-30"]),
        (["2022-12-31", "2023-01-31", "2023-02-28"], ["2023-03-31", "2023-04-30", "2023-05-31"]),
        (["2022-12-30", "2023-01-30", "2023-02-28"], ["2023-03-30", "2023-04-30", "2023-05-30"]),
        (["2023-11-15T06:30", "2023-12-15T06:30"], ["2024-01-15T06:30", "2024-02-15T06:30"]),
    ],
)
def test_months_go_on_by_the_calendar(last_rows: list[str], following: list[str]) -> None:
    timeline = find_timeline(at(*last_rows))

    assert timeline.frequency == "monthly"
    assert timeline.future(len(following)).tolist() == at(*following).tolist()


@pytest.mark.parametrize(
    ("step", "rows", "season"),
    [
        (900, 1344, 672),
        (900, 1343, 96),
        (1800, 672, 336),
        (HOUR, 336, 168),
        (HOUR, 335, 24),
        (HOUR, 47, 1),
        (DAY, 14, 7),
        (DAY, 13, 1),
        (7 * DAY, 104, 52),
        (7 * DAY, 103, 1),
        (int(30.4375 * DAY), 24, 12),
        (int(30.4375 * DAY), 23, 1),
        (2 * HOUR, 1000, 1),
    ],
)
def test_a_season_has_to_fit_twice(step: int, rows: int, season: int) -> None:
    series = series_at(START + step * np.arange(rows))

    assert series.timeline.season(int(series.timestamps[0])) == season


def test_rows_are_sorted_and_the_later_duplicate_wins() -> None:
    series = Series.from_arrays("c", [3 * DAY, DAY, 2 * DAY, DAY], [3, 1, 2, 10])

    assert series.timestamps.tolist() == [DAY, 2 * DAY, 3 * DAY]
    assert series.values.tolist() == [10, 2, 3]


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [np.inf, -np.inf], [1e16, -1e300]])
def test_without_a_usable_value_there_is_no_series(values: list[float]) -> None:
    with pytest.raises(NoValidRows, match=f"none of {len(values)} rows has a usable value"):
        Series.from_arrays("c", START + DAY * np.arange(len(values)), values)


@pytest.mark.parametrize(
    ("unit", "name"), [("ms", "milliseconds"), ("us", "microseconds"), ("ns", "nanoseconds")]
)
def test_times_in_another_unit_than_seconds_are_told_so(unit: str, name: str) -> None:
    times = (np.datetime64("2023-11-14") + np.arange(50)).astype(f"datetime64[{unit}]").astype(np.int64)

    with pytest.raises(NoValidRows) as refusal:
        Series.from_arrays("c", times, [np.nan] + [1] * 49)

    assert str(refusal.value) == (
        "none of 49 rows with a usable value has a usable time: each lies outside 1780 to 2191;"
        f" are they {name} since 1970, and not seconds?"
    )


@pytest.mark.parametrize(
    ("time", "end"),
    [
        (np.datetime64("3000-01-01"), "outside 1780 to 2191"),
        (1e300, "are they nanoseconds since 1970, and not seconds?"),
        (np.datetime64("2024-03-31T02:30"), "outside 1780 to 2191 or in an hour that the clock skipped"),
    ],
)
def test_without_a_usable_time_there_is_no_series(time: object, end: str) -> None:
    with pytest.raises(NoValidRows, match="none of 1 rows with a usable value has a usable time") as refusal:
        Series.from_arrays("c", np.array([time]), [1.0], time_zone="Europe/Berlin")

    assert str(refusal.value).endswith(end)


def test_unusable_values_leave_gaps() -> None:
    series = Series.from_arrays("c", START + DAY * np.arange(6), [1, np.nan, 3, np.inf, -1e200, 6])

    assert series.values.tolist() == [1, 3, 6]
    assert np.diff(series.timestamps).tolist() == [2 * DAY, 3 * DAY]


@given(
    st.lists(st.tuples(st.integers(-(10**12), 10**12), st.floats()), min_size=1, max_size=40),
    st.integers(1, 50),
)
def test_whatever_the_rows_the_future_comes_after_them(rows: list[tuple[int, float]], count: int) -> None:
    timestamps, values = zip(*rows, strict=True)
    try:
        series = Series.from_arrays("c", timestamps, values)
    except NoValidRows:
        return

    future = series.timeline.future(count)

    assert np.isfinite(series.values).all()
    assert (np.diff(np.r_[series.timestamps, future]) > 0).all()
    assert series.timeline.steps_to(future).tolist() == list(range(1, count + 1))
    assert iso_time(int(series.timestamps[0])).endswith("Z")
