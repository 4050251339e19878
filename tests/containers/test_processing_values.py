"""What can be read and still cannot be true, decimal commas, and what an owner is shown of unusable rows."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.containers.processing_support import HEADER, ProcessingRoot, parquet, process

from fleetcast_processing import intake

NOW = datetime.now(UTC)
USUAL = [float(value) for value in range(1, 13)]


def rows(values: list[float], customer: str = "1") -> list[str]:
    first = datetime(2024, 1, 1, tzinfo=UTC)
    return [
        f"{customer},{first + timedelta(days=day):%Y-%m-%d},{value!r}" for day, value in enumerate(values)
    ]


def stored(root: ProcessingRoot, customer: str = "1") -> list[float]:
    return [value for _, value in process(root).series[customer]]


@pytest.mark.parametrize(
    "moment", ["2099-12-31", f"{NOW + timedelta(days=3):%Y-%m-%d}", str(int(NOW.timestamp()) + 200_000)]
)
def test_a_row_from_the_future_is_dropped_and_counted(root: ProcessingRoot, moment: str) -> None:
    """One slip of the pen would move the customer's forecast by decades."""
    root.put_rows("a.csv", "1,2024-01-01,1", f"1,{moment},2")

    outcome = process(root)

    assert [value for _, value in outcome.series["1"]] == [1.0]
    assert outcome.quality["1"]["bad_timestamps"] == 1
    assert outcome.quality["1"]["last"] == "2024-01-01T00:00:00Z"


def test_a_row_that_only_a_time_zone_puts_into_tomorrow_is_kept(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", "1,2024-01-01,1", f"1,{NOW + timedelta(hours=26):%Y-%m-%dT%H:%M},2")

    assert stored(root) == [1.0, 2.0]


def test_future_rows_of_parquet_are_bad_too(root: ProcessingRoot) -> None:
    moments = pa.array([datetime(2024, 1, 1), datetime(2099, 12, 31)], pa.timestamp("us"))  # noqa: DTZ001
    root.put("a.parquet", parquet(customer_id=["1", "1"], timestamp=moments, consumption=[1.0, 2.0]))

    assert stored(root) == [1.0]


def test_a_value_beyond_a_million_medians_is_dropped_and_counted(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", *rows([*USUAL, 9.9e14, -9.9e14]), *rows([1e14] * 12, "large"))

    outcome = process(root)

    assert [value for _, value in outcome.series["1"]] == USUAL
    quality = outcome.quality["1"]
    assert [quality[name] for name in ("rows_read", "rows_kept", "bad_values", "negatives")] == [14, 12, 2, 0]
    assert outcome.quality["large"]["bad_values"] == 0


@pytest.mark.parametrize(
    ("values", "dropped"),
    [
        ([*[1.0] * 9, 1e6], 0),
        ([*[1.0] * 9, 1.000001e6], 1),
        ([*[-1.0] * 9, 1.000001e6], 1),
        ([*[1.0] * 8, 1e14], 0),
        ([*[0.0] * 6, *[1.0] * 4, 1e14], 0),
        ([*[0.0] * 5, *[1.0] * 4, 1e14], 1),
        ([*[0.0] * 6, *[1.0] * 5, 1e14], 1),
        ([*[0.0] * 7, *[1.0] * 4, 1e14], 0),
        ([*[1e-9] * 6, *[1.0] * 6], 0),
        ([*[1e-9] * 7, *[1.0] * 6], 6),
        ([0.0] * 20, 0),
    ],
    ids=[
        "exactly a million medians",
        "just above",
        "magnitudes, not values",
        "nine rows",
        "a median of zero",
        "a median above zero beside many zeros",
        "as many zeros as others",
        "a median of zero, even count",
        "an even mix is no error",
        "mostly tiny",
        "only zeros",
    ],
)
def test_the_limit_is_a_million_times_the_median_of_at_least_ten_rows(
    root: ProcessingRoot, values: list[float], dropped: int
) -> None:
    root.put_rows("a.csv", *rows([*USUAL, 5.5], "before"), *rows(values), *rows([3.0] * 15, "after"))

    outcome = process(root)

    assert outcome.quality["1"]["bad_values"] == dropped
    assert {outcome.quality[name]["bad_values"] for name in ("before", "after")} == {0}


def test_an_absurd_correction_does_not_displace_a_sound_reading(root: ProcessingRoot) -> None:
    root.put_rows("a.csv", *rows(USUAL))
    root.put_rows("b.csv", "1,2024-01-03,7e13")

    outcome = process(root)

    assert [value for _, value in outcome.series["1"]] == USUAL
    assert (outcome.quality["1"]["duplicates"], outcome.quality["1"]["bad_values"]) == (0, 1)


def test_delivering_rows_again_does_not_change_what_is_absurd(root: ProcessingRoot) -> None:
    few = [*[1.0] * 6, 1e14]
    root.put_rows("a.csv", *rows(few))
    root.put_rows("b.csv", *rows(few))

    assert stored(root) == few


def test_the_order_of_files_does_not_change_what_is_absurd(tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = rows([*USUAL, 9e13, *USUAL])
    fingerprints = set()
    for parts in ((lines[:13], lines[13:]), (lines[13:], lines[:13]), (lines[::-1], [])):
        root = ProcessingRoot(tmp_path_factory.mktemp("order") / "ml")
        for name, part in zip(("a.csv", "b.csv"), parts, strict=True):
            root.put_rows(name, *part)
        quality = process(root).quality["1"]
        assert quality["bad_values"] == 1
        fingerprints.add(quality["fingerprint"])

    assert len(fingerprints) == 1


@pytest.mark.parametrize(
    ("cell", "value"),
    [("100,45", 100.45), (" -0,5 ", -0.5), (",25", 0.25), ("7,", 7.0), ("1,5e3", 1500.0), ("1.5", 1.5)],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_a_semicolon_file_may_have_decimal_commas(
    root: ProcessingRoot, cell: str, value: float, encoding: str
) -> None:
    text = f"{HEADER}Zoë,2024-01-01,#\nZoë,2024-01-02,broken\n".replace(",", ";").replace("#", cell)
    root.put("a.csv", text.encode(encoding))

    assert stored(root, "Zoë") == [value]


@pytest.mark.parametrize("cell", ["1.234,5", "1,234,567", "1,234.5", "1 234,5", ",", "100,45 kWh"])
def test_thousands_separators_are_no_numbers(root: ProcessingRoot, cell: str) -> None:
    """Beside `1.234,5`, `1.234` could be either: better to say so than to be wrong by a thousand."""
    root.put("a.csv", f"customer_id;timestamp;consumption\n1;2024-01-01;{cell}\n1;2024-01-02;5\n")

    outcome = process(root)

    assert [value for _, value in outcome.series["1"]] == [5.0]
    assert outcome.quality["1"]["bad_values"] == 1


@pytest.mark.parametrize("separator", [",", "\t"])
def test_elsewhere_a_decimal_comma_is_no_number(root: ProcessingRoot, separator: str) -> None:
    lines = ["customer_id|timestamp|consumption", '1|2024-01-01|"100,45"', "1|2024-01-02|5"]
    root.put("a.csv", "\n".join(lines).replace("|", separator))

    assert stored(root) == [5.0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,2024-01-01,12 kWh", "the value '12 kWh'"),
        ("1,31.12.2024,12", "the timestamp '31.12.2024'"),
        ("1,never,12 kWh", "the timestamp 'never'"),
        ("1,2099-12-31,12", "the timestamp '2099-12-31'"),
        ("1,,12", "an empty timestamp"),
        ("1,2024-01-01,", "an empty value"),
        ("1,2024-01-01,a\u200b\x07b", r"the value 'a\u200b\x07b'"),
        ("1,2024-01-01," + "9" * 400, "the value '" + "9" * 40 + "'…"),
    ],
)
def test_an_unusable_customer_is_shown_the_first_cell_that_could_not_be_used(
    root: ProcessingRoot, line: str, said: str
) -> None:
    root.put_rows("a.csv", ",2024-01-01,nobody", "2,2024-01-01,5", line, "1,2024-01-02,later")

    quality = process(root).quality

    assert quality["1"]["reason"].endswith(f"; the first has {said}")
    assert quality["2"]["reason"] is None


@pytest.mark.parametrize("buffer", [1, 10**7])
def test_the_first_bad_cell_is_of_the_first_file_that_was_used(
    root: ProcessingRoot, monkeypatch: pytest.MonkeyPatch, buffer: int
) -> None:
    monkeypatch.setattr(intake, "_BUFFER_BYTES", buffer)
    broken = gzip.compress(f"{HEADER}1,2024-01-01,rejected\n".encode())[:-4]
    root.put("a.csv.gz", broken)
    root.put_rows("b.csv", "1,2024-01-01,first", "2,2024-01-01,5")
    root.put_rows("c.csv", "1,2024-01-01,second")

    assert process(root).quality["1"]["reason"].endswith("the value 'first'")


def test_the_first_bad_cell_of_a_parquet_file_is_shown_as_text(root: ProcessingRoot) -> None:
    root.put(
        "a.parquet", parquet(customer_id=["1", "2"], timestamp=[5, 1_704_067_200], consumption=[1.0, 2.0])
    )

    assert process(root).quality["1"]["reason"].endswith("the timestamp '5'")


def test_the_example_of_the_guide_is_read_as_it_stands(root: ProcessingRoot) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "raw-data.md").read_text()
    root.put("a.csv", guide.partition("```csv\n")[2].partition("```")[0])

    assert stored(root, "0042") == [12.5, 11.75]
