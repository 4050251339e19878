"""Time as people write it: formats, zones, and the two nights a year when the clock changes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.containers.processing_support import ProcessingRoot, process

TIMESTAMPS = {
    "2024-02-29": (2024, 2, 29),
    "2024-01-01T05": (2024, 1, 1, 5),
    "2024-01-01 05:06": (2024, 1, 1, 5, 6),
    "2024-01-01T05:06:07": (2024, 1, 1, 5, 6, 7),
    "2024-01-01 05:06:07.5": (2024, 1, 1, 5, 6, 7, 500_000),
    "2024-01-01T05:06:07.123456789": (2024, 1, 1, 5, 6, 7, 123_456),
    "2024-01-01T05:06:08Z": (2024, 1, 1, 5, 6, 8),
    "2024-01-01T05:06:09+02:00": (2024, 1, 1, 3, 6, 9),
    "2024-01-01 05:06:10-0530": (2024, 1, 1, 10, 36, 10),
    "2024-01-01T05:06+01": (2024, 1, 1, 4, 6),
    "1704085571": (2024, 1, 1, 5, 6, 11),
    "1704085572123": (2024, 1, 1, 5, 6, 12, 123_000),
    " 2024-03-01 ": (2024, 3, 1),
}
NO_TIMESTAMPS = [
    "",
    "yesterday",
    "2024-02-30",
    "2024-13-01",
    "2024-01-01T25:00",
    "2024-01-01T24:00",
    "2024-01-01T00:00:60",
    "2024-01-01T00:00+99:00",
    "01/02/2024",
    "170408557",
    "17040855721234",
    "-1704085571",
    "0001-01-01",
    "9999-12-31",
    "2024-01-01T",
    "\u0662\u0660\u0662\u0664-01-01",
]


def moment(year: int, month: int, day: int, *clock: int) -> datetime:
    hours, minutes, seconds, micros = (*clock, 0, 0, 0, 0)[:4]
    return datetime(year, month, day, hours, minutes, seconds, micros, UTC)


def test_every_usual_way_to_write_a_timestamp_is_read_even_in_one_file(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", *(f"1,{text},{number}" for number, text in enumerate(TIMESTAMPS)))

    series = process(root).series["1"]

    expected = {float(number): moment(*parts) for number, parts in enumerate(TIMESTAMPS.values())}
    assert {value: when for when, value in series} == expected


@pytest.mark.parametrize("text", TIMESTAMPS)
def test_a_timestamp_means_the_same_whatever_surrounds_it(root: ProcessingRoot, text: str) -> None:
    root.put_rows("a.csv", f"1,{text},1")

    assert process(root).series["1"] == [(moment(*TIMESTAMPS[text]), 1.0)]


def test_what_is_no_timestamp_is_counted(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", "1,2024-01-01,1", *(f"1,{text},1" for text in NO_TIMESTAMPS))

    quality = process(root).quality["1"]

    assert quality["bad_timestamps"] == len(NO_TIMESTAMPS)
    assert quality["rows_kept"] == 1


def moments(root: ProcessingRoot, zone: str, *texts: str) -> tuple[list[str], dict[str, Any]]:
    root.put_rows("a.csv", *(f"1,{text},{number}" for number, text in enumerate(texts)))
    outcome = process(root, time_zone=zone)
    return [f"{moment:%m-%dT%H:%M}={value:.0f}" for moment, value in outcome.series["1"]], outcome.quality[
        "1"
    ]


def test_naive_timestamps_are_in_the_configured_zone_and_others_are_not(root: ProcessingRoot) -> None:
    found, _ = moments(
        root, "America/New_York", "2024-07-01", "2024-01-01", "2024-03-01T12:00Z", "1709294401"
    )

    assert found == ["01-01T05:00=1", "03-01T12:00=2", "03-01T12:00=3", "07-01T04:00=0"]


def test_an_hour_that_the_clock_shows_twice_is_read_as_first_and_second_passing(root: ProcessingRoot) -> None:
    texts = [f"2024-11-03T{clock}" for clock in ("00:30", "01:00", "01:30", "01:00", "01:30", "02:00")]

    found, quality = moments(root, "America/New_York", *texts)

    assert found == [
        "11-03T04:30=0",
        "11-03T05:00=1",
        "11-03T05:30=2",
        "11-03T06:00=3",
        "11-03T06:30=4",
        "11-03T07:00=5",
    ]
    assert quality["duplicates"] == 0


def test_the_same_file_twice_does_not_confuse_the_two_passings(root: ProcessingRoot) -> None:
    rows = ["1,2024-11-03T01:00,1", "1,2024-11-03T01:00,2"]
    root.put_rows("a.csv", *rows)
    root.put_rows("b.csv", *rows)

    outcome = process(root, time_zone="America/New_York")

    assert [value for _, value in outcome.series["1"]] == [1.0, 2.0]
    assert outcome.quality["1"]["duplicates"] == 2


def test_an_hour_that_the_clock_skips_is_bad_but_a_day_that_begins_late_is_kept(root: ProcessingRoot) -> None:
    skipped, quality = moments(
        root, "America/New_York", "2024-03-10T01:30", "2024-03-10T02:30", "2024-03-10T03:00"
    )

    assert skipped == ["03-10T06:30=0", "03-10T07:00=2"]
    assert quality["bad_timestamps"] == 1


def test_a_day_whose_midnight_the_clock_skips_begins_when_the_clock_jumped(root: ProcessingRoot) -> None:
    found, _ = moments(root, "America/Santiago", "2024-09-07", "2024-09-08", "2024-09-09")

    assert found == ["09-07T04:00=0", "09-08T04:00=1", "09-09T03:00=2"]
