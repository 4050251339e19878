"""The reference data set is what it says: known customers, known dates, known defects, the same bytes every time."""

import csv
import gzip
import zlib
from collections import Counter
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fleetcast.errors import RequestError
from fleetcast_cli.synth import SynthReport, generate

Rows = dict[str, list[tuple[str, str]]]


def read(report: SynthReport) -> Rows:
    rows: Rows = {}
    for path in report.files:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            assert next(lines) == ["customer_id", "timestamp", "consumption"]
            for customer, timestamp, value in lines:
                rows.setdefault(customer, []).append((timestamp, value))
    return rows


def values(series: list[tuple[str, str]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([float(value) for _, value in series])


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[SynthReport, Rows]:
    report = generate(tmp_path_factory.mktemp("broken"), customers=900, defects=True)
    return report, read(report)


def only(broken: tuple[SynthReport, Rows], defect: str) -> list[tuple[str, str]]:
    report, rows = broken
    return rows[next(customer for customer, name in report.defects.items() if name == defect)]


def test_customers_are_integers_from_zero_with_a_reading_a_day(tmp_path: Path) -> None:
    report = generate(tmp_path, customers=30, customers_per_file=20)

    rows = read(report)

    assert list(rows) == [str(number) for number in range(30)]
    assert [path.name for path in report.files] == [
        "customers-00000-00019.csv.gz",
        "customers-00020-00029.csv.gz",
    ]
    assert (report.customers, report.rows, report.start) == (30, 30 * 730, date(2023, 1, 1))
    for series in rows.values():
        days = [date.fromisoformat(timestamp) for timestamp, _ in series]
        assert (days[0], days[-1], len(set(days))) == (report.start, report.end, 730)
        assert 0 <= values(series).min() < values(series).max() <= 1000


def test_hourly_readings_cover_every_hour_between_two_dates(tmp_path: Path) -> None:
    report = generate(
        tmp_path, customers=2, start=date(2024, 2, 28), end=date(2024, 3, 1), frequency="hourly"
    )

    moments = [datetime.fromisoformat(timestamp) for timestamp, _ in read(report)["1"]]

    assert len(moments) == 3 * 24
    assert (moments[0], moments[-1]) == (datetime(2024, 2, 28), datetime(2024, 3, 1, 23))  # noqa: DTZ001


def test_days_count_back_from_an_end(tmp_path: Path) -> None:
    report = generate(tmp_path, customers=1, days=10, end=date(2024, 1, 10))

    assert (report.start, report.end, report.rows) == (date(2024, 1, 1), date(2024, 1, 10), 10)


def test_a_week_and_a_year_can_be_seen_in_the_readings(tmp_path: Path) -> None:
    """The data exists to show that a model finds its seasons."""
    for series in read(generate(tmp_path, customers=10, days=1456)).values():
        readings = values(series)
        power = np.abs(np.fft.rfft(readings - readings.mean())) ** 2
        weekly, yearly = power[1456 // 7], power[3:6].max()
        assert min(weekly, yearly) > 20 * np.median(power)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    def digests(name: str, seed: int) -> list[int]:
        report = generate(tmp_path / name, customers=60, seed=seed, defects=True, customers_per_file=30)
        assert report.unreadable
        return [zlib.crc32(path.read_bytes()) for path in (*report.files, report.unreadable)]

    assert digests("a", 1) == digests("b", 1)
    assert set(digests("a", 1)).isdisjoint(digests("c", 2))


def test_a_customer_is_the_same_in_a_small_and_in_a_large_fleet(tmp_path: Path) -> None:
    small = read(generate(tmp_path / "small", customers=5))
    large = read(generate(tmp_path / "large", customers=50, customers_per_file=7))

    assert all(large[customer] == series for customer, series in small.items())


def test_one_customer_in_twenty_is_broken_in_turn_and_the_others_are_not(
    broken: tuple[SynthReport, Rows],
) -> None:
    report, rows = broken

    assert (report.customers, len(rows), len(report.defects)) == (900, 900, 45)
    assert set(Counter(report.defects.values()).values()) == {2, 3}
    good = set(rows) - set(report.defects)
    assert all(len(rows[customer]) == 730 and values(rows[customer]).min() >= 0 for customer in good)


@pytest.mark.parametrize(("defect", "missing"), [("gap_day", 1), ("gap_month", 30), ("gap_year", 365)])
def test_a_gap_lies_inside_the_series(broken: tuple[SynthReport, Rows], defect: str, missing: int) -> None:
    days = [date.fromisoformat(timestamp) for timestamp, _ in only(broken, defect)]

    steps = [(after - before).days for before, after in pairwise(days)]

    assert sorted(steps)[-2:] == [1, missing + 1]
    assert steps[0] == steps[-1] == 1


def test_runs_of_zeros_and_of_one_value_last_three_weeks(broken: tuple[SynthReport, Rows]) -> None:
    assert (values(only(broken, "outage_zeros")) == 0).sum() == 21
    assert Counter(values(only(broken, "stuck_meter"))).most_common(1)[0][1] >= 21


def test_outliers_are_hundreds_of_times_the_median(broken: tuple[SynthReport, Rows]) -> None:
    readings = values(only(broken, "outliers"))

    assert (readings > 150 * np.median(readings)).sum() == 3


def test_single_readings_are_negative_or_come_twice(broken: tuple[SynthReport, Rows]) -> None:
    assert (values(only(broken, "negatives")) < 0).sum() == 3
    assert Counter(Counter(timestamp for timestamp, _ in only(broken, "duplicates")).values()) == {
        1: 720,
        2: 10,
    }


def test_one_customer_starts_late_and_one_ends_early(broken: tuple[SynthReport, Rows]) -> None:
    report, _ = broken
    late, early = only(broken, "late_start"), only(broken, "early_end")

    assert (late[-1][0], early[0][0]) == (str(report.end), str(report.start))
    assert len(late) < 365 < len(early) < 500


@pytest.mark.parametrize(
    ("defect", "cells"),
    [
        ("empty_cells", {""}),
        ("text_cells", {"n/a", "error", "--", "12 kWh"}),
        ("nan_and_infinite", {"NaN", "inf", "-inf"}),
    ],
)
def test_some_cells_are_no_numbers(broken: tuple[SynthReport, Rows], defect: str, cells: set[str]) -> None:
    found = Counter(value for _, value in only(broken, defect))

    assert cells <= set(found)
    assert sum(found[cell] for cell in cells) == 14


def test_whole_series_may_be_worth_nothing(broken: tuple[SynthReport, Rows]) -> None:
    assert [len(only(broken, defect)) for defect in ("one_row", "two_rows")] == [1, 2]
    assert len(set(values(only(broken, "constant")))) == 1
    assert not values(only(broken, "all_zero")).any()
    assert {value for _, value in only(broken, "all_empty")} == {""}


def test_ids_may_be_hostile(broken: tuple[SynthReport, Rows]) -> None:
    report, rows = broken

    assert {"../../etc", "a/b", "Ünï ¢ode", "../../etc-1"} <= set(rows)
    assert max(map(len, rows)) == 128
    assert set(report.defects) <= set(rows)


def test_an_hourly_day_of_the_clock_change_has_23_hours(tmp_path: Path) -> None:
    report = generate(tmp_path, customers=20, days=365, frequency="hourly", defects=True)

    series = read(report)["19"]

    assert report.defects == {"19": "clock_change"}
    assert len(series) == 365 * 24 - 1
    hours = [timestamp[11:13] for timestamp, _ in series if timestamp.startswith("2023-03-26")]
    assert len(hours) == 23
    assert "02" not in hours


def test_the_unreadable_file_is_no_data(broken: tuple[SynthReport, Rows]) -> None:
    report, _ = broken

    assert report.unreadable
    assert report.unreadable not in report.files
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(report.unreadable.read_bytes())


def test_every_defect_survives_the_shortest_series(tmp_path: Path) -> None:
    report = generate(tmp_path, customers=440, days=1, defects=True)

    assert len(report.defects) == 22
    assert sum(map(len, read(report).values())) == report.rows


def test_progress_is_told_file_by_file(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    generate(
        tmp_path,
        customers=25,
        days=3,
        customers_per_file=10,
        progress=lambda done, total: told.append((done, total)),
    )

    assert told == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"customers": 0}, "customers"),
        ({"days": 0}, "days"),
        ({"days": 10**9}, "days"),
        ({"start": date(2024, 2, 1), "end": date(2024, 1, 1)}, "end"),
        ({"customers_per_file": 0}, "customers_per_file"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(
    tmp_path: Path, arguments: dict[str, int], field: str
) -> None:
    with pytest.raises(RequestError, match=field) as refusal:
        generate(tmp_path, **arguments)

    assert refusal.value.field == field
