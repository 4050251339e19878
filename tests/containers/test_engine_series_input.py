"""What can be handed over as a history, and what is said of that which cannot."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from tests.containers.engine_support import DAY, HOUR, START

from fleetcast_engine import Series
from fleetcast_engine.errors import NotASeries, NoValidRows
from fleetcast_engine.history.series import DUPLICATES

JANUARY = ["2024-01-01", "2024-01-02", "2024-01-03"]
SECONDS = [1_704_067_200, 1_704_153_600, 1_704_240_000]


def series(timestamps: Any, values: Any = (1, 2, 3), **options: Any) -> Series:
    return Series.from_arrays("c", timestamps, values, **options)


@pytest.mark.parametrize(
    "timestamps",
    [
        SECONDS,
        np.array(SECONDS, np.uint64),
        np.array(SECONDS, np.int32),
        [second + 0.999 for second in SECONDS],
        np.array(JANUARY, "datetime64[D]"),
        np.array([f"{day}T00:00:00.999999" for day in JANUARY], "datetime64[us]"),
        JANUARY,
        [f"{day}T01:00:00.5+01:00" for day in JANUARY],
        [f"{day} 00:00:00Z " for day in JANUARY],
        [date.fromisoformat(day) for day in JANUARY],
        [datetime.fromisoformat(day) for day in JANUARY],
        [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in JANUARY],
        np.array(SECONDS, object),
    ],
    ids=lambda stamps: f"{type(stamps).__name__} of {getattr(stamps, 'dtype', type(stamps[0]).__name__)}",
)
def test_times_are_read_in_whatever_form_they_come(timestamps: Any) -> None:
    assert series(timestamps).timestamps.tolist() == SECONDS


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 3],
        [1.0, float("nan"), 3.0],
        [Decimal(1), Decimal("nan"), Decimal(3)],
        np.array([1, np.nan, 3], np.float32),
        np.array([1, np.inf, 3], np.longdouble),
        np.ma.masked_array([1, 2, 3], [False, True, False]),
        [1, 10**400, 3],
    ],
)
def test_values_are_read_in_whatever_form_they_come(values: Any) -> None:
    read = series(SECONDS, values)

    assert read.values.tolist() == [1, 3]
    assert read.unusable == 1


@pytest.mark.parametrize(
    ("timestamps", "values", "sentence"),
    [
        (SECONDS, [1, 2], "3 timestamps and 2 values"),
        ([], [1], "0 timestamps and 1 values"),
        (SECONDS, [1, "12 kWh", 3], "values[0] is '1'; a value is a number"),
        (SECONDS, [1, {}, 3], "values[1] is {}; a value is a number"),
        (SECONDS, [True, False, True], "values are of type bool"),
        (SECONDS, np.array([1j, 2, 3]), "values are of type complex128"),
        (SECONDS, np.array(JANUARY, "datetime64[D]"), "values are of type datetime64[D]"),
        (SECONDS, [[1, 2, 3]], "values have shape (1, 3); they must be one column"),
        (SECONDS, [[1], [2, 3]], "values are not one column"),
        (5, 5, "timestamps have shape (); they must be one column"),
        (
            np.array(["2024-01-01", "NaT", "2024-01-03"], "datetime64[s]"),
            [1, 2, 3],
            "timestamps[1] is NaT; a time",
        ),
        ([1.0, 2.0, float("nan")], [1, 2, 3], "timestamps[2] is nan; a time is seconds since 1970"),
        ([date(2024, 1, 1), None, date(2024, 1, 3)], [1, 2, 3], "timestamps[1] is None"),
        (np.ma.masked_array(SECONDS, [True, False, False]), [1, 2, 3], "timestamps[0] is"),
        (["2024-01-01", "01.03.2024", "2024-01-03"], [1, 2, 3], "timestamps[1] is '01.03.2024'"),
        ([b"2024-01-01", b"2024-01-02", b"2024-01-03"], [1, 2, 3], "timestamps are of type |S10"),
        ([True, False, True], [1, 2, 3], "timestamps are of type bool"),
    ],
)
def test_what_are_no_rows_is_refused_with_its_place(timestamps: Any, values: Any, sentence: str) -> None:
    with pytest.raises(NotASeries) as refusal:
        series(timestamps, values)

    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("policy", "value"), [("last", 2.0), ("first", 5.0), ("mean", 4.0), ("sum", 12.0), ("largest", 5.0)]
)
def test_rows_with_one_time_are_settled_by_policy(policy: str, value: float) -> None:
    settled = series([DAY, 0, DAY, DAY, 2 * DAY], [5, 1, 5, 2, 7], duplicates=policy)

    assert settled.timestamps.tolist() == [0, DAY, 2 * DAY]
    assert settled.values.tolist() == [1, value, 7]
    assert settled.duplicates == 2


def test_an_unknown_policy_is_refused_with_those_that_exist() -> None:
    with pytest.raises(NotASeries, match="duplicates is 'median'; it can be last, first, mean, sum, largest"):
        series(SECONDS, duplicates="median")


@pytest.mark.parametrize("policy", DUPLICATES)
def test_an_unusable_row_displaces_no_sound_one(policy: str) -> None:
    kept = series([0, 0, DAY], [3, np.nan, 4], duplicates=policy)

    assert kept.values.tolist() == [3, 4]
    assert (kept.unusable, kept.duplicates) == (1, 0)


def test_readings_within_one_second_are_duplicates() -> None:
    microseconds = np.arange(1_000_000, dtype=np.int64).astype("datetime64[us]")

    kept = series(microseconds[::1000], np.arange(1000), duplicates="mean")

    assert kept.timestamps.tolist() == [0]
    assert kept.values.tolist() == [499.5]
    assert kept.duplicates == 999


def test_times_before_1970_are_cut_towards_the_past_like_all_others() -> None:
    stamps = np.array(["1969-12-31T23:59:59.5", "1970-01-01T00:00:00.5"], "datetime64[ms]")

    assert series(stamps, [1, 2]).timestamps.tolist() == [-1, 0]
    assert series([-0.5, 0.5], [1, 2]).timestamps.tolist() == [-1, 0]


@pytest.mark.parametrize("first", ["1800-01-01", "1969-12-20", "2101-05-05", "2180-01-01"])
def test_a_history_lies_in_any_century(first: str) -> None:
    days = np.datetime64(first) + np.arange(30)

    assert series(days, np.arange(30)).frequency == "daily"


@pytest.mark.parametrize("stamp", [10**12, -(10**12), 2**63 - 1, -(2**63), 1e300, 2**70])
def test_a_time_outside_every_calendar_is_an_unusable_row(stamp: float) -> None:
    read = series([0, stamp, DAY])

    assert read.timestamps.tolist() == [0, DAY]
    assert read.unusable == 1


def test_readings_too_large_to_be_true_are_dropped_and_too_small_to_be_squared_are_zero() -> None:
    read = series(DAY * np.arange(7), [1e15, 1e300, -1e300, np.inf, 1e-300, -1e-300, 5])

    assert read.values.tolist() == [1e15, 0, 0, 5]
    assert read.unusable == 3


def test_one_value_a_year_is_irregular_and_goes_on_year_by_year() -> None:
    years = np.arange("1990", "2020", dtype="datetime64[Y]").astype("datetime64[s]")

    yearly = series(years, np.arange(30))

    assert yearly.frequency == "irregular"
    assert yearly.timeline.future(1)[0] == yearly.timeline.end + 365 * DAY


def test_nothing_at_all_is_no_series() -> None:
    with pytest.raises(NoValidRows, match="none of 0 rows has a usable value"):
        series([], [])


def test_one_row_is_a_series() -> None:
    one = series([START], [7])

    assert len(one) == 1
    assert one.frequency == "irregular"


# What clocks show


def test_naive_days_of_a_zone_begin_at_its_midnights() -> None:
    read = series(
        ["2024-03-30", "2024-03-31", "2024-04-01", "2024-04-02"], np.ones(4), time_zone="Europe/Berlin"
    )

    assert np.diff(read.timestamps).tolist() == [DAY, DAY - HOUR, DAY]
    assert read.frequency == "daily"


def test_a_day_of_23_hours_misses_the_hour_that_was_skipped() -> None:
    local = np.datetime64("2024-03-30T00", "s") + HOUR * np.arange(72)

    read = series(local, np.arange(72), time_zone="Europe/Berlin")

    assert read.unusable == 1
    assert read.values.tolist() == [value for value in range(72) if value != 26]
    assert (np.diff(read.timestamps) == HOUR).all()


def test_a_day_of_25_hours_has_the_repeated_hour_twice() -> None:
    local = np.datetime64("2024-10-26T00", "s") + HOUR * np.arange(72)
    shown = np.insert(local, 27, local[26])

    read = series(shown, np.arange(73), time_zone="Europe/Berlin")

    assert read.duplicates == read.unusable == 0
    assert read.values.tolist() == list(range(73))
    assert (np.diff(read.timestamps) == HOUR).all()


def test_the_first_usable_row_of_a_repeated_hour_is_its_first_passing() -> None:
    shown = ["2024-10-27T02:00"] * 3

    read = series(shown, [np.nan, 1, 2], time_zone="Europe/Berlin")

    assert read.timestamps.tolist() == [1_729_987_200, 1_729_990_800]
    assert read.values.tolist() == [1, 2]


def test_a_midnight_that_the_clock_skips_is_the_moment_it_jumps_to() -> None:
    days = ["2018-11-03", "2018-11-04", "2018-11-05"]

    read = series(days, time_zone="America/Sao_Paulo")

    assert read.timestamps.astype("datetime64[s]").astype(str).tolist() == [
        "2018-11-03T03:00:00",
        "2018-11-04T03:00:00",
        "2018-11-05T02:00:00",
    ]


def test_a_zone_does_not_move_what_names_its_own() -> None:
    assert series([f"{day}T00:00Z" for day in JANUARY], time_zone="Asia/Tokyo").timestamps.tolist() == SECONDS
    assert series(SECONDS, time_zone="Asia/Tokyo").timestamps.tolist() == SECONDS


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused_by_name(zone: str) -> None:
    with pytest.raises(NotASeries, match="there is no time zone"):
        series(JANUARY, time_zone=zone)


# Frames


def columns_as_lists(_pandas: Any) -> Any:
    return {"timestamp": JANUARY, "consumption": [1, 2, 3]}


def columns_of_datetimes(pandas: Any) -> Any:
    return pandas.DataFrame({"timestamp": pandas.to_datetime(JANUARY), "consumption": [1, 2, 3]})


def columns_of_text(pandas: Any) -> Any:
    return pandas.DataFrame({"timestamp": JANUARY, "consumption": [1.0, 2.0, 3.0]})


def columns_with_a_zone(pandas: Any) -> Any:
    stamps = pandas.to_datetime(JANUARY).tz_localize("UTC").tz_convert("Asia/Tokyo")
    return pandas.DataFrame({"timestamp": stamps, "consumption": [1, 2, 3]})


@pytest.mark.parametrize(
    "build", [columns_as_lists, columns_of_datetimes, columns_of_text, columns_with_a_zone]
)
def test_a_frame_is_read_by_its_columns(build: Callable[[Any], Any]) -> None:
    read = Series.from_frame(build(import_module("pandas")), customer_id="home-1")

    assert read.customer_id == "home-1"
    assert read.timestamps.tolist() == SECONDS
    assert read.values.tolist() == [1, 2, 3]


def test_a_frame_may_have_gaps_in_pandas_own_way() -> None:
    pandas = import_module("pandas")
    frame = pandas.DataFrame({"when": JANUARY, "kwh": pandas.array([1, None, 3], dtype="Int64")})

    read = Series.from_frame(frame, customer_id="c", timestamp="when", value="kwh", time_zone="Asia/Tokyo")

    assert read.values.tolist() == [1, 3]
    assert read.timestamps[0] == SECONDS[0] - 9 * HOUR


def test_a_missing_time_in_a_frame_is_named() -> None:
    pandas = import_module("pandas")
    stamps = pandas.to_datetime([JANUARY[0], None, JANUARY[2]]).tz_localize("UTC")
    frame = pandas.DataFrame({"timestamp": stamps, "consumption": [1, 2, 3]})

    with pytest.raises(NotASeries, match=r"timestamps\[1\] is NaT"):
        Series.from_frame(frame, customer_id="c")


def test_a_frame_without_the_column_is_told_which_it_has() -> None:
    with pytest.raises(NotASeries, match="the frame has no column 'consumption'; it has 'timestamp', 'kwh'"):
        Series.from_frame({"timestamp": JANUARY, "kwh": [1, 2, 3]}, customer_id="c")
