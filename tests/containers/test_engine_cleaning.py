"""What a meter makes up is taken out; what a customer did stays."""

import os
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.containers.engine_support import DAY, HOUR, START

from fleetcast_engine import Series
from fleetcast_engine.history.cleaning import Cleaned, clean
from fleetcast_engine.history.repairs import Repairs

Floats = npt.NDArray[np.float64]
STEPS = [HOUR, DAY]
NAMES = {HOUR: "hourly", DAY: "daily"}


def office(days: int, step: int = DAY) -> Floats:
    """Return the consumption of an office: half of it on weekends, more by day than by night, some noise."""
    seconds = START + step * np.arange(days * DAY // step)
    weekend = (seconds // DAY + 4) % 7 % 6 == 0
    by_day = 1 + 0.8 * np.sin(2 * np.pi * (seconds % DAY) / DAY - np.pi / 2) * (step < DAY)
    noise = np.random.default_rng(7).normal(1, 0.02, len(seconds))
    values: Floats = 100 * np.where(weekend, 0.5, 1) * by_day * noise
    return values


def cleaned(values: Floats, step: int = DAY) -> Cleaned:
    return clean(Series.from_arrays("c", START + step * np.arange(len(values)), values))


def kept(result: Cleaned, step: int = DAY) -> npt.NDArray[np.bool_]:
    return np.isin(result.raw.timestamps, result.series.timestamps)


def rows(first_day: float, last_day: float, step: int) -> slice:
    return slice(int(first_day * DAY // step), int(last_day * DAY // step))


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_a_sound_history_is_returned_as_it_is(step: int) -> None:
    result = cleaned(office(200, step), step)

    assert result.series is result.raw
    assert result.repairs == Repairs()
    assert result.repairs.sentence == "nothing to repair"


# Zeros


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
@pytest.mark.parametrize("days", [3, 40])
def test_zeros_between_normal_days_are_an_outage(step: int, days: int) -> None:
    values = office(200, step)
    silent = rows(100, 100 + days, step)
    values[silent] = 0

    result = cleaned(values, step)

    assert result.repairs == Repairs(outage=days * DAY // step)
    assert not kept(result)[silent].any()
    assert result.raw.values.tolist() == values.tolist()


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_two_days_of_zeros_are_no_outage(step: int) -> None:
    values = office(200, step)
    values[rows(100, 102, step)] = 0

    assert cleaned(values, step).repairs.outage == 0


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_zeros_at_the_beginning_are_before_the_customer(step: int) -> None:
    values = office(200, step)
    values[rows(0, 90, step)] = 0

    assert cleaned(values, step).repairs == Repairs(outage=90 * DAY // step)


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_test_readings_do_not_end_the_time_before_the_customer(step: int) -> None:
    values = office(200, step)
    values[rows(0, 90, step)] = 0
    values[rows(40, 41, step)] = 2

    assert cleaned(values, step).repairs.outage == 89 * DAY // step


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_zeros_at_the_end_stay(step: int) -> None:
    """Whether the customer left or the meter broke, nobody knows yet; a forecast of zero may be right."""
    values = office(200, step)
    values[rows(150, 200, step)] = 0

    assert kept(cleaned(values, step)).all()


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_a_summer_that_tapers_off_is_genuine(step: int) -> None:
    days = np.arange(730 * DAY // step) * step / DAY
    values = np.maximum(np.cos(2 * np.pi * days / 365), 0) * office(730, step)

    result = cleaned(values, step)

    assert (values == 0).sum() > 300
    assert kept(result).all()


def test_zeros_amid_missing_days_are_an_outage() -> None:
    values = office(200)
    values[90:110] = np.nan
    values[98:102] = 0

    assert cleaned(values).repairs == Repairs(unusable=16, missing=16, outage=4)


def test_a_missing_day_ends_a_run_of_zeros() -> None:
    values = office(200)
    values[100:105] = [0, 0, np.nan, 0, 0]

    assert cleaned(values).repairs.outage == 0


# Stuck readings


@pytest.mark.parametrize(("step", "days"), [(HOUR, 1), (HOUR, 30), (DAY, 4), (DAY, 248)])
def test_a_reading_that_repeats_for_days_is_stuck(step: int, days: int) -> None:
    values = office(400, step)
    stuck = rows(100, 100 + days, step)
    values[stuck] = 87.654

    result = cleaned(values, step)

    assert result.repairs == Repairs(stuck=days * DAY // step)
    assert not kept(result)[stuck].any()


@pytest.mark.parametrize(("step", "rows_alike"), [(HOUR, 23), (DAY, 3)])
def test_a_shorter_repetition_is_none(step: int, rows_alike: int) -> None:
    values = office(200, step)
    values[500 // (step // HOUR) :][:rows_alike] = 87.654

    assert cleaned(values, step).repairs.stuck == 0


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_a_repetition_that_reaches_the_end_stays(step: int) -> None:
    values = office(200, step)
    values[rows(190, 200, step)] = 87.654

    assert kept(cleaned(values, step)).all()


def test_a_home_on_holiday_is_not_stuck_at_its_standby() -> None:
    """A meter that counts in tenths repeats the standby every night, and for a fortnight in summer."""
    night = np.tile(np.r_[np.full(10, 0.1), np.ones(14)], 200)
    values = np.round(night * np.random.default_rng(3).uniform(0.96, 9, 4800), 1)
    values[night < 1] = 0.1
    values[rows(100, 114, HOUR)] = 0.1

    assert cleaned(values, HOUR).repairs.stuck == 0


def test_a_meter_in_thousands_repeats_itself() -> None:
    values = np.round(np.random.default_rng(5).normal(7500, 700, 400), -3)

    assert cleaned(values).repairs == Repairs()


def test_a_constant_load_is_not_stuck_between_its_dropouts() -> None:
    values = np.full(400, 50.0)
    values[::9] = 42
    values[[40, 41, 150, 152, 154, 156]] = 42

    assert cleaned(values).repairs.stuck == 0


def test_months_spread_over_their_days_are_not_stuck() -> None:
    values = np.repeat(np.random.default_rng(5).normal(100, 20, 24), 30)

    assert cleaned(values).repairs.stuck == 0


# Outliers


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
@pytest.mark.parametrize("factor", [30, 500, 1e9])
def test_a_reading_far_above_all_others_is_clipped(step: int, factor: float) -> None:
    values = office(200, step)
    values[1000 // (step // HOUR)] *= factor

    result = cleaned(values, step)

    assert result.repairs == Repairs(outliers=1)
    assert result.series.values.max() < 1000
    assert result.raw.values.max() == values.max()


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
@pytest.mark.parametrize("days", [15, 30, 58, 400])
def test_nights_and_weekends_are_no_outliers(step: int, days: int) -> None:
    assert cleaned(office(days, step), step).repairs.outliers == 0


def test_a_quiet_day_among_weekends_is_no_outlier() -> None:
    """The weekends of a very regular office lie far outside the spread of its working days."""
    values = np.tile([100.0, 101, 99, 100, 102, 30, 31], 60)

    assert cleaned(values).repairs.outliers == 0


def test_a_kettle_is_no_outlier() -> None:
    generator = np.random.default_rng(11)
    kettles = np.where(generator.random(8760) < 0.15, 2.5, 0)
    values = np.round(0.2 + 0.05 * generator.random(8760) + kettles, 3)

    assert cleaned(values, HOUR).repairs.outliers == 0


def test_a_season_that_mostly_is_zero_keeps_its_few_readings() -> None:
    values = np.zeros(400)
    values[::3] = 50 + np.arange(134) % 7

    assert cleaned(values).repairs == Repairs()


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
@pytest.mark.parametrize("factor", [0.01, 20])
def test_a_new_level_that_has_lasted_three_days_at_the_end_stays(step: int, factor: float) -> None:
    values = office(200, step)
    values[rows(197, 200, step)] *= factor

    assert cleaned(values, step).repairs == Repairs()


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_two_days_at_the_end_are_no_new_level(step: int) -> None:
    values = office(200, step)
    values[rows(198, 200, step)] *= 20

    assert cleaned(values, step).repairs.outliers > DAY // step


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_single_readings_below_zero_are_taken_out(step: int) -> None:
    values = office(250, step)
    values[[50, 200]] = [-3, -1e6]

    result = cleaned(values, step)

    assert result.repairs == Repairs(outliers=2)
    assert result.series.nonnegative


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_feeding_in_is_judged_in_the_mirror(step: int) -> None:
    values = office(200, step)
    values[rows(50, 60, step)] = 0
    values[rows(100, 110, step)] = 87.654
    values[1000 // (step // HOUR)] *= 500
    values[30] = -3

    there, mirrored = cleaned(values, step), cleaned(-values, step)

    assert mirrored.repairs == there.repairs
    assert mirrored.series.values.tolist() == (-there.series.values).tolist()


def test_a_meter_that_counts_both_ways_keeps_its_sign() -> None:
    values = office(200) - 75

    result = cleaned(values)

    assert (values < 0).mean() > 0.2
    assert result.repairs == Repairs()


# What is left alone


@pytest.mark.parametrize("step", STEPS, ids=NAMES.get)
def test_less_than_two_weeks_are_left_alone(step: int) -> None:
    values = office(14, step)[:-1]
    values[rows(2, 6, step)] = 0
    values[rows(8, 10, step)] = 5.55
    values[1] = 1e9

    assert cleaned(values, step).repairs == Repairs()


def test_a_history_of_which_less_than_two_weeks_would_remain_is_left_alone() -> None:
    values = np.r_[office(10), np.zeros(100), office(3)]

    assert cleaned(values).repairs == Repairs()


@pytest.mark.parametrize("values", [np.zeros(100), np.full(100, 5.0), np.full(100, -5.0), np.arange(100.0)])
@pytest.mark.parametrize("step", [900, HOUR, DAY, 7 * DAY, 2 * HOUR])
def test_degenerate_histories_are_left_alone(values: Floats, step: int) -> None:
    assert cleaned(values, step).series.values.tolist() == values.tolist()


@pytest.mark.parametrize(
    "step", [7 * DAY, int(30.4375 * DAY), 2 * HOUR], ids=["weekly", "monthly", "irregular"]
)
def test_weeks_months_and_irregular_rows_lose_outliers_only(step: int) -> None:
    values = 100 + np.random.default_rng(2).normal(0, 5, 150)
    values[20:30], values[40:50], values[[60, 70]] = 0, 87.654, [1e6, -4]

    repairs = cleaned(values, step).repairs

    assert (repairs.outage, repairs.stuck, repairs.outliers) == (0, 0, 12)


def test_half_hours_and_quarter_hours_are_cleaned_like_hours() -> None:
    for step in (900, 1800):
        values = office(120, step)
        values[rows(30, 34, step)] = 0
        values[rows(60, 62, step)] = 87.654
        values[-500] = 1e5

        assert cleaned(values, step).repairs == Repairs(
            outage=4 * DAY // step, stuck=2 * DAY // step, outliers=1
        )


def test_a_gap_of_years_costs_nothing_and_changes_nothing() -> None:
    values = office(60, HOUR)
    values[700] = 1e5
    late = START + HOUR * np.arange(len(values)) + np.where(np.arange(len(values)) < 720, 0, 20 * 365 * DAY)

    result = clean(Series.from_arrays("c", late, values))

    assert result.repairs == Repairs(missing=20 * 365 * 24, outliers=1)


def test_repairs_are_told_in_a_sentence() -> None:
    repairs = Repairs(unusable=2, duplicates=1, missing=1300, outage=40, stuck=12, outliers=3)

    assert repairs.sentence == (
        "2 unusable dropped, 1 duplicates settled, 1,300 missing, 40 zeros of outages taken out, "
        "12 stuck readings taken out and 3 outliers clipped"
    )
    assert repairs.total == 58
    assert Repairs(missing=5).sentence == "5 missing"
    assert Repairs(missing=5).total == 0
    assert f"`{Repairs(missing=12, outage=40, outliers=2).sentence}`" in str(Repairs.sentence.__doc__)


def test_what_was_dropped_before_is_among_the_repairs() -> None:
    stamps, values = DAY * np.r_[np.arange(60), 8, 9], np.r_[office(60), 100, 101]
    values[20] = np.inf

    assert clean(Series.from_arrays("c", stamps, values)).repairs == Repairs(
        unusable=1, duplicates=2, missing=1
    )


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "customers", "outages", "stuck"),
    [
        ("daily_bdg2", 238, (60, 120), (8, 16)),
        ("daily_ca_homes", 17, (0, 0), (0, 0)),
        ("daily_cambridge", 57, (20, 40), (2, 5)),
        ("daily_households", 14, (0, 3), (0, 0)),
        ("hourly_bdg2", 26, (1, 5), (0, 1)),
        ("hourly_ca_homes", 17, (0, 0), (0, 0)),
        ("hourly_cambridge", 10, (0, 3), (0, 0)),
        ("hourly_households", 14, (0, 3), (0, 0)),
    ],
)
def test_real_meters_need_few_repairs(
    name: str, customers: int, outages: tuple[int, int], stuck: tuple[int, int]
) -> None:
    results = [clean(series) for series in real(name)]

    assert len(results) == customers
    assert {result.raw.frequency for result in results} == {name.split("_", maxsplit=1)[0]}
    assert outages[0] <= sum(result.repairs.outage > 0 for result in results) <= outages[1]
    assert stuck[0] <= sum(result.repairs.stuck > 0 for result in results) <= stuck[1]
    assert sum(r.repairs.outliers for r in results) < 0.005 * sum(len(r.raw) for r in results)
    assert all(len(result.series) > len(result.raw) // 3 for result in results)


def real(name: str) -> list[Series]:
    pandas = import_module("pandas")
    frame = pandas.read_csv(
        Path(os.environ["FLEETCAST_REALDATA"]) / f"{name}.csv.gz", parse_dates=["timestamp"]
    )
    return [
        Series.from_frame(group, customer_id=customer) for customer, group in frame.groupby("customer_id")
    ]
